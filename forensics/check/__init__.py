"""Every release checked like a test: has it moved towards a reference it must not learn from? Read `run` first."""
