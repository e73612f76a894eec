"""The name under which the servers of these tests serve SmolLM2-135M-Instruct."""

NAME = "smollm2-135m"
