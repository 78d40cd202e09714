// Package archtest holds the plan of imports: which package may import which. It has no
// code of its own; a change of the plan is a change of a line here.
package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/camsq/camsq/"

// plan lists the packages and what each may import of this module. A package that is not
// here has no place yet.
var plan = map[string][]string{
	// The command: main ends the process, cli runs one command.
	"cmd/camsq": {"internal/cli"},
	"internal/cli": {
		"examples", "internal/app", "internal/cli/accounts", "internal/cli/check", "internal/cli/cmdutil", "internal/cli/enqueue",
		"internal/cli/fake", "internal/cli/jobs", "internal/cli/render", "internal/cli/results", "internal/cli/status",
		"internal/config", "internal/exit", "internal/lab/demo", "internal/lab/prove", "internal/workdir",
	},

	// A family of commands knows no other one: what they share is in cmdutil, render and watch.
	"internal/cli/accounts": {"internal/app", "internal/cli/cmdutil", "internal/config", "internal/exit", "internal/humanize", "internal/operate", "worker"},
	"internal/cli/check": {
		"callback", "cams", "internal/app", "internal/classify", "internal/cli/cmdutil", "internal/cli/render", "internal/config", "internal/exit",
		"internal/humanize", "internal/inspect", "internal/redisconn", "tasks",
	},
	"internal/cli/cmdutil": {"internal/app", "internal/config", "internal/exit", "internal/humanize", "internal/importer", "internal/operate", "internal/workdir"},
	"internal/cli/enqueue": {
		"enqueue", "enqueue/rowfile", "internal/app", "internal/cli/cmdutil", "internal/cli/render", "internal/cli/watch", "internal/config", "internal/exit",
		"internal/humanize", "internal/importer", "internal/inspect", "internal/redisconn", "internal/spreadsheet", "tasks",
	},
	"internal/cli/fake": {
		"callback", "callback/callbacktest", "cams", "cams/camstest", "internal/app", "internal/cli/cmdutil", "internal/cli/render",
		"internal/config", "internal/exit", "internal/humanize", "internal/workdir",
	},
	"internal/cli/jobs": {
		"internal/app", "internal/cli/cmdutil", "internal/cli/render", "internal/config", "internal/exit", "internal/humanize",
		"internal/inspect", "internal/operate", "internal/queue", "internal/workdir", "tasks", "worker",
	},
	"internal/cli/render": {"internal/humanize"},
	"internal/cli/results": {
		"enqueue", "enqueue/rowfile", "internal/app", "internal/cli/cmdutil", "internal/config", "internal/exit", "internal/humanize",
		"internal/importer", "internal/inspect", "internal/spreadsheet", "internal/workdir", "tasks",
	},
	"internal/cli/status": {
		"internal/app", "internal/cli/cmdutil", "internal/cli/render", "internal/cli/watch", "internal/config", "internal/exit",
		"internal/humanize", "internal/importer", "internal/inspect", "tasks",
	},
	"internal/cli/watch": {
		"internal/app", "internal/cli/cmdutil", "internal/cli/render", "internal/exit", "internal/humanize", "internal/importer",
		"internal/inspect", "tasks",
	},

	// The composition root, the models and the import.
	"internal/app": {
		"callback", "cams", "enqueue", "internal/asynqx", "internal/config", "internal/exit", "internal/finalize", "internal/gate", "internal/humanize", "internal/inspect",
		"internal/ledger", "internal/operate", "internal/queue", "internal/ratelimit", "internal/recovery", "internal/redisconn", "metrics", "tasks", "worker",
	},
	"internal/importer": {
		"enqueue", "enqueue/rowfile", "internal/config", "internal/exit", "internal/humanize", "internal/inspect",
		"internal/spreadsheet", "internal/workdir", "tasks",
	},
	"internal/inspect": {
		"enqueue", "internal/asynqx", "internal/config", "internal/exit", "internal/humanize", "internal/ledger", "internal/queue",
		"internal/ratelimit", "internal/redisconn", "tasks", "worker",
	},
	"internal/config": {"internal/atomicfile", "internal/exit", "internal/humanize", "internal/seal", "internal/workdir", "tasks", "worker"},

	// The laboratory is beside the product.
	"internal/lab/testbed": {"callback", "callback/callbacktest", "cams/camstest"},
	"internal/lab/demo": {
		"callback", "callback/callbacktest", "cams", "cams/camstest", "enqueue", "enqueue/rowfile", "internal/app", "internal/config", "internal/exit",
		"internal/humanize", "internal/lab/testbed", "internal/seal", "tasks", "worker",
	},
	"internal/lab/prove": {
		"callback", "callback/callbacktest", "cams", "cams/camstest", "enqueue", "internal/app", "internal/asynqx", "internal/cli/render",
		"internal/config", "internal/exit", "internal/humanize", "internal/inspect", "internal/lab/testbed", "internal/ledger", "internal/process",
		"internal/redisconn", "internal/seal", "tasks",
	},
	"callback/callbacktest": {"callback"},

	// Programs to copy: they import what another module can import.
	"examples/producer": {"enqueue", "tasks"},
	"examples/receiver": {"callback", "tasks"},

	// Leaves of the product.
	"internal/atomicfile": {},
	"internal/exit":       {},
	"internal/humanize":   {},
	"internal/workdir":    {"internal/atomicfile", "internal/exit"},

	// The libraries. enqueue takes the ledger, since other programs import it alone.
	"callback":          {"tasks"},
	"enqueue":           {"internal/ledger", "internal/queue", "internal/redisconn", "internal/seal", "tasks"},
	"enqueue/rowfile":   {"internal/spreadsheet", "tasks"},
	"internal/asynqx":   {"internal/redisconn"},
	"internal/classify": {"cams", "tasks"},
	"internal/finalize": {"tasks"},
	"internal/ledger":   {"internal/redisconn", "internal/seal", "tasks"},
	"internal/backoff":  {},
	"internal/gate":     {"tasks"},
	"internal/recovery": {"tasks"},
	"internal/operate":  {"internal/finalize", "tasks"},
	"internal/queue":    {"internal/asynqx", "internal/ledger", "internal/redisconn", "tasks"},
	"metrics":           {"tasks"},
	"worker":            {"cams", "internal/backoff", "internal/classify", "internal/finalize", "internal/gate", "internal/recovery", "tasks"},

	// Packages that import none of this module.
	"cams":                 {},
	"examples":             {},
	"internal/ratelimit":   {},
	"internal/process":     {},
	"internal/redisconn":   {"internal/humanize"},
	"internal/seal":        {},
	"internal/spreadsheet": {},
	"tasks":                {},

	// For tests and the laboratory.
	"cams/camstest":        {"cams"},
	"deploy/deploytest":    {},
	"internal/archtest":    {},
	"internal/lab/bench":   {"cams", "enqueue", "internal/lab/testbed", "internal/ledger", "internal/process", "internal/seal", "tasks"},
	"internal/lab/model":   {"tasks"},
	"internal/lab/mutants": {},
	"internal/redistest":   {"internal/process"},
}

// owners are the packages that may import a foreign module, by the beginning of its import
// path. A module that is not here may be imported by tests only.
var owners = map[string][]string{
	"github.com/hibiken/asynq":            {"internal/asynqx", "internal/lab/bench", "worker"},
	"github.com/redis/go-redis/v9":        {"enqueue", "examples/producer", "internal/app", "internal/asynqx", "internal/lab/bench", "internal/cli", "internal/cli/check", "internal/inspect", "internal/lab/prove", "internal/ledger", "internal/process", "internal/queue", "internal/ratelimit", "internal/redisconn", "internal/redistest"},
	"github.com/prometheus/client_golang": {"internal/app", "internal/lab/demo", "metrics"},
	"github.com/cenkalti/backoff/v4":      {"internal/backoff"},
	"github.com/aliyun/credentials-go":    {"cams"},
	"code.dny.dev/ssrf":                   {"callback"},
	"github.com/alicebob/miniredis/v2":    {"internal/lab/demo", "internal/redistest"},
	"github.com/rogpeppe/go-internal":     {"internal/lab/mutants"},
	"github.com/spf13/cobra":              {"internal/cli", "internal/cli/accounts", "internal/cli/check", "internal/cli/cmdutil", "internal/cli/enqueue", "internal/cli/fake", "internal/cli/jobs", "internal/cli/results", "internal/cli/status"},
	"github.com/spf13/pflag":              {"internal/cli", "internal/cli/cmdutil", "internal/cli/jobs"},
	"github.com/prometheus/client_model":  {"internal/lab/demo"},
	"github.com/rivo/uniseg":              {"internal/humanize"},
	"github.com/schollz/progressbar/v3":   {"internal/cli/watch"},
	"golang.org/x/term":                   {"internal/cli/watch"},
	"golang.org/x/text":                   {"cams/camstest", "internal/spreadsheet", "tasks"},
	"github.com/klauspost/compress":       {"internal/spreadsheet"},
	"golang.org/x/time":                   {"internal/lab/bench"},
	"go.yaml.in/yaml/v3":                  {"deploy/deploytest", "internal/config"},
}

// modulesOfTheirOwn are folders whose packages are other modules.
var modulesOfTheirOwn = []string{"cams/internal/oracle", "callback/internal/oracle", "internal/spreadsheet/oracle"}

type source struct {
	pkg  string // the package's folder
	path string
	text string
	file *ast.File
}

// sources parses every file of the module that is not a test. It reads them in this
// process, so that go test notices when one changes.
func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (slices.Contains(modulesOfTheirOwn, p) || strings.HasPrefix(d.Name(), ".") && p != "." || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(root, p)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		out = append(out, source{pkg: path.Dir(p), path: p, text: string(text), file: f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEveryPackageImportsOnlyWhatThePlanAllows(t *testing.T) {
	for _, s := range sources(t) {
		allowed, known := plan[s.pkg]
		if !known {
			t.Errorf("%s: package %s is not in the plan; add a line for it to this test", s.path, s.pkg)
			continue
		}
		for _, spec := range s.file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if inner, ok := strings.CutPrefix(name, module); ok {
				if !slices.Contains(allowed, inner) {
					t.Errorf("%s: %s may not import %s", s.path, s.pkg, inner)
				}
			} else if strings.Contains(strings.Split(name, "/")[0], ".") && !owns(s.pkg, name) {
				t.Errorf("%s: %s may not import %s", s.path, s.pkg, name)
			}
		}
	}
}

func owns(pkg, name string) bool {
	for prefix, allowed := range owners {
		if name == prefix || strings.HasPrefix(name, prefix+"/") {
			return slices.Contains(allowed, pkg)
		}
	}
	return false
}

// Only programs may read the process's environment and end it, so that every other
// package does what its arguments say.
func TestOnlyTheCommandTouchesTheProcess(t *testing.T) {
	forbidden := map[string]bool{"os.Exit": true, "os.Getenv": true, "os.LookupEnv": true, "os.Environ": true, "flag.Parse": true, "log.Fatal": true}
	for _, s := range sources(t) {
		if s.pkg == "cmd/camsq" || strings.HasPrefix(s.pkg, "examples/") || s.pkg == "internal/lab/bench" || s.pkg == "internal/lab/mutants" || strings.HasSuffix(s.pkg, "test") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := sel.X.(*ast.Ident); ok && forbidden[pkg.Name+"."+sel.Sel.Name] {
					t.Errorf("%s: %s.%s belongs in cmd/camsq", s.path, pkg.Name, sel.Sel.Name)
				}
			}
			return true
		})
	}
}

// asynqx alone knows asynq's keys, so that a new version of asynq is checked in one
// place. worker runs on asynq, and bench measures beside it.
func TestOnlyAsynqxSpellsAsynqsKeys(t *testing.T) {
	for _, s := range sources(t) {
		if s.pkg == "internal/asynqx" || s.pkg == "internal/lab/bench" || s.pkg == "worker" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING && strings.HasPrefix(text.Value[1:], "asynq:") {
				t.Errorf("%s spells the key %s: use internal/asynqx", s.path, text.Value)
			}
			return true
		})
	}
}

// A plan that names what does not exist would hide a gap in it.
func TestThePlanNamesOnlyWhatExists(t *testing.T) {
	there := map[string]bool{"internal/archtest": true}
	used := map[string]bool{}
	for _, s := range sources(t) {
		there[s.pkg] = true
		for _, spec := range s.file.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			for prefix := range owners {
				if name == prefix || strings.HasPrefix(name, prefix+"/") {
					used[prefix] = true
				}
			}
		}
	}
	for pkg := range plan {
		if !there[pkg] {
			t.Errorf("the plan names %s, which does not exist", pkg)
		}
	}
	for prefix := range owners {
		if !used[prefix] {
			t.Errorf("the plan names %s, which no package imports", prefix)
		}
	}
}

// A family of commands knows no other family, and reaches Redis and asynq only through
// the models.
func TestCommandsKnowOnlyTheModels(t *testing.T) {
	shared := []string{"internal/cli/cmdutil", "internal/cli/render", "internal/cli/watch"}
	below := []string{"internal/ledger", "internal/ratelimit", "internal/asynqx", "internal/seal"}
	for pkg, imports := range plan {
		if !strings.HasPrefix(pkg, "internal/cli/") {
			continue
		}
		for _, name := range imports {
			if strings.HasPrefix(name, "internal/cli/") && !slices.Contains(shared, name) || slices.Contains(below, name) {
				t.Errorf("%s may not import %s", pkg, name)
			}
		}
	}
}

// The product does not know its laboratory, and no library knows the command.
func TestTheProductDoesNotKnowItsLaboratory(t *testing.T) {
	for pkg, imports := range plan {
		public := !strings.HasPrefix(pkg, "internal/") && !strings.HasPrefix(pkg, "cmd/")
		for _, name := range imports {
			lab := strings.HasPrefix(name, "internal/lab/") && (pkg != "internal/cli" || name == "internal/lab/testbed") && !strings.HasPrefix(pkg, "internal/lab/")
			command := public && (strings.HasPrefix(name, "internal/cli") || name == "internal/app")
			if lab || command {
				t.Errorf("%s may not import %s", pkg, name)
			}
		}
	}
}

const (
	maxPackage = 3000 // lines of product code
	maxFile    = 400  // lines
	maxParams  = 6
)

// long lists the files that may be longer, each with its reason.
var long = map[string]string{
	"worker/turn.go":             "one turn, step by step, with what recovery finds after each",
	"internal/lab/model/turn.go": "the same turn in the model, to be read beside it",
}

func TestPackagesFilesAndFunctionsAreSmall(t *testing.T) {
	lines := map[string]int{}
	for _, s := range sources(t) {
		n := strings.Count(s.text, "\n")
		lines[s.pkg] += n
		if n > maxFile && long[s.path] == "" {
			t.Errorf("%s has %d lines, want at most %d", s.path, n, maxFile)
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Type.Params.NumFields() > maxParams {
				t.Errorf("%s: %s has %d parameters, want at most %d", s.path, f.Name.Name, f.Type.Params.NumFields(), maxParams)
			}
		}
	}
	for pkg, n := range lines {
		if n > maxPackage {
			t.Errorf("%s has %d lines, want at most %d", pkg, n, maxPackage)
		}
	}
}
