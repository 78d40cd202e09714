# What a contributor runs. `make help` lists it.

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
ORACLES     = cams/internal/oracle callback/internal/oracle internal/spreadsheet/oracle
FUZZTIME    = 10s

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: test
test: ## Run the tests; those that need redis-server, node or prometheus use them if they are on the PATH
	go test ./...

.PHONY: race
race: ## Run the tests with the race detector, in random order
	go test -race -shuffle=on -timeout 25m ./...

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, go mod tidy: nothing may be left to do
	@test -z "$$(gofmt -l .)" || { echo "not gofmt'ed:"; gofmt -l .; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	go mod tidy -diff

.PHONY: oracles
oracles: ## Compare signer, webhooks and the reading of files with other people's (Go modules of their own, and npm)
	for d in callback/internal/oracle internal/spreadsheet/oracle; do (cd $$d/node && npm ci --no-audit --no-fund --silent) || exit 1; done
	for m in $(ORACLES); do (cd $$m && go vet ./... && go test ./...) || exit 1; done

# Go's fuzzing ends now and then with "context deadline exceeded" when its time is over,
# and no failing input: then it is done once more.
.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME
	@go list -f '{{.Dir}}' ./... | while read -r dir; do \
		for f in $$(grep -ho '^func Fuzz[A-Za-z0-9]*' "$$dir"/*_test.go 2>/dev/null | cut -c6-); do \
			echo "$$f in $$dir"; \
			fuzz() { (cd "$$dir" && go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x . 2>&1); }; \
			out=$$(fuzz) || case "$$out" in \
				*"Failing input"*) echo "$$out"; exit 1;; \
				*"context deadline exceeded"*) out=$$(fuzz) || { echo "$$out"; exit 1; };; \
				*) echo "$$out"; exit 1;; \
			esac; \
			echo "$$out" | tail -n 2; \
		done; done

.PHONY: bench
bench: ## Measure camsq on this machine, beside plain asynq; takes 25 minutes, with BENCH=-quick 3
	@go run ./internal/lab/bench $(BENCH)

.PHONY: microbench
microbench: ## Run the Go benchmarks, each six times
	go test -run '^$$' -bench . -benchmem -count 6 ./...

.PHONY: model
model: ## Walk through the protocol's model to its large bounds (minutes, 3 GB)
	CAMSQ_MODEL=large go test -count=1 -v -timeout 30m -run TestNothingBreaksARule ./internal/lab/model

.PHONY: mutants
mutants: ## Take each guard of the promise out of the code: a test must fail without it; takes 30 minutes
	go run ./internal/lab/mutants

.PHONY: golden
golden: ## Write the generated pages and golden files anew; of the golden records those of the newest format only
	UPDATE=1 go test ./tasks ./metrics
	UPDATE=1 go test -run Golden ./internal/ledger

.PHONY: demo
demo: ## Run the demo on the example file
	go run ./cmd/camsq demo examples/tenants.csv

.PHONY: chaos
chaos: ## Kill, freeze and cut off workers and Redis while 10,000 jobs run; takes 10 to 20 minutes
	go run ./cmd/camsq prove --jobs 10000 --kills 100 --stops 4

.PHONY: durability
durability: ## Kill Redis ten times under each durability setting and count what it forgets; takes 9 minutes
	DURABILITY=10 go test -count=1 -v -timeout 30m -run TestWhatIsForgottenWhenRedisDies ./internal/ledger

.PHONY: check
check: lint race oracles fuzz ## Everything that CI does
