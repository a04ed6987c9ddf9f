package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// files are the texts of a folder, by path; a config that is right.
func files() map[string]string {
	return map[string]string{
		"config.yaml": `{{$n := DefaultParam .CL2_N 3}}   # objects
name: example
tuningSets:
- name: Uniform
  qpsLoad: {qps: {{DivideFloat $n 2}}}
steps:
{{range $round := Loop 2}}
- module:
    path: modules/secrets.yaml
    params: {step: round {{$round}}, count: {{$n}}}
{{end}}
- name: end
  measurements:
  - {identifier: Timer, method: Timer, params: {action: gather}}
`,
		"modules/secrets.yaml": `# Secrets.
steps:
- name: {{.step}}
  phases:
  - replicasPerNamespace: {{.count}}
    tuningSet: Uniform
    objectBundle:
    - basename: secret
      objectTemplatePath: secret.yaml
      templateFillMap: {Size: 8}
`,
		"secret.yaml": `apiVersion: v1
kind: Secret
metadata: {name: "{{.Name}}"}
data: {payload: "{{RandDataWithSeed .Size .Name}}"}
`,
	}
}

// expandOf writes the files, and returns what expand prints and how it exits.
func expandOf(t *testing.T, texts map[string]string, overrides string) (stdout, stderr string, code int) {
	t.Helper()
	folder := t.TempDir()
	for path, text := range texts {
		path = filepath.Join(folder, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	given := filepath.Join(folder, "overrides.yaml")
	if err := os.WriteFile(given, []byte(overrides), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, err bytes.Buffer
	code = run([]string{"-overrides", given, filepath.Join(folder, "config.yaml")}, &out, &err)
	inFolder := strings.NewReplacer(folder+"/", "")
	return inFolder.Replace(out.String()), inFolder.Replace(err.String()), code
}

func TestModulesAreFlattenedAndEveryPartHasItsPlace(t *testing.T) {
	stdout, stderr, code := expandOf(t, files(), "CL2_N: 5\nCL2_OTHER: 1\n")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var found struct {
		Config struct {
			Name       string
			TuningSets []struct{ QPSLoad struct{ QPS float64 } }
			Steps      []struct {
				Name   string
				Phases []struct{ ReplicasPerNamespace int }
			}
		}
		Places map[string]string
		Unused []string
	}
	if err := json.Unmarshal([]byte(stdout), &found); err != nil {
		t.Fatal(err)
	}
	steps := found.Config.Steps
	if len(steps) != 3 || steps[0].Name != "round 0" || steps[1].Name != "round 1" || steps[2].Name != "end" {
		t.Errorf("steps are %+v", steps)
	}
	if n := steps[1].Phases[0].ReplicasPerNamespace; n != 5 {
		t.Errorf("%d replicas", n)
	}
	if qps := found.Config.TuningSets[0].QPSLoad.QPS; qps != 2.5 {
		t.Errorf("%v qps", qps)
	}
	if len(found.Unused) != 1 || found.Unused[0] != "CL2_OTHER" {
		t.Errorf("unused are %v", found.Unused)
	}
	for pointer, at := range map[string]string{
		"":                                 "config.yaml:2",
		"/tuningSets/0/qpsLoad/qps":        "config.yaml:5",
		"/steps/1/name":                    "modules/secrets.yaml:3",
		"/steps/1/phases/0/tuningSet":      "modules/secrets.yaml:6",
		"/steps/2":                         "config.yaml:12",
		"/steps/2/measurements/0/method":   "config.yaml:14",
		"/steps/0/phases/0/objectBundle/0": "modules/secrets.yaml:8",
	} {
		if found.Places[pointer] != at {
			t.Errorf("%q is at %q and not at %q", pointer, found.Places[pointer], at)
		}
	}
}

func TestWhatIsFaultyIsNamedWithFileAndLine(t *testing.T) {
	for _, c := range []struct {
		name, file, old, new, says string
	}{
		{"a template that does not parse", "modules/secrets.yaml", "{{.step}}", "{{.step}",
			"modules/secrets.yaml:3: "},
		{"an end too many", "config.yaml", "- name: end", "{{end}}\n- name: end",
			"config.yaml:12: unexpected {{end}}"},
		{"a function that there is not", "config.yaml", "DivideFloat", "DivideFloats",
			`config.yaml:5: function "DivideFloats" not defined`},
		{"too many arguments", "config.yaml", "$n 2", "$n 2 3",
			"config.yaml:5: at <DivideFloat>: wrong number of args for DivideFloat: want 2 got 3"},
		{"an argument that is no number", "config.yaml", "$n 2", `$n "two"`,
			"config.yaml:5: at <DivideFloat $n \"two\">: error calling DivideFloat: two is not a number"},
		{"a division by zero", "config.yaml", "$n 2", "$n 0", "config.yaml:5: "},
		{"a parameter without a default", "config.yaml", "DefaultParam .CL2_N 3", ".CL2_M",
			"config.yaml:1: `.CL2_M` has no value and no default"},
		{"a parameter of a module that is not given", "config.yaml", ", count: {{$n}}", "",
			"config.yaml:8: `count` is not given, and modules/secrets.yaml:5 reads it"},
		{"a parameter of a module that it does not have", "config.yaml", ", count", ", size: 1, count",
			"config.yaml:10: `size` is given, and nothing in modules/secrets.yaml reads it"},
		{"a module that is not there", "config.yaml", "modules/secrets.yaml", "modules/secret.yaml",
			"config.yaml:8: there is no file modules/secret.yaml"},
		{"a module without a path", "config.yaml", "path: modules/secrets.yaml", "paths: modules/secrets.yaml",
			"config.yaml:9: a module has only `path`, `params`, and this has `paths`\nconfig.yaml:8: `path` is missing"},
		{"phases beside a module", "config.yaml", "{{end}}", "  phases: []\n{{end}}",
			"config.yaml:11: a step that is a module has only `module`, `name`, and this has `phases`"},
		{"a module that contains itself", "modules/secrets.yaml", "steps:",
			"steps:\n- module: {path: modules/secrets.yaml}", "modules/secrets.yaml:3: modules are more than 100 deep"},
		{"a module with something else", "modules/secrets.yaml", "steps:", "name: secrets\nsteps:",
			"modules/secrets.yaml:2: the file of a module has only `steps`, and this has `name`"},
		{"an object template that is not there", "modules/secrets.yaml", "objectTemplatePath: secret", "objectTemplatePath: secrets",
			"modules/secrets.yaml:8: there is no file secrets.yaml"},
		{"a value of a template that is not given", "modules/secrets.yaml", "Size: 8", "",
			"modules/secrets.yaml:8: `Size` is not given, and secret.yaml:4 reads it"},
		{"a value that a template does not have", "modules/secrets.yaml", "Size: 8", "Size: 8, Colour: red",
			"modules/secrets.yaml:10: `Colour` is given, and nothing in secret.yaml reads it"},
		{"an object template that does not parse", "secret.yaml", ".Size", ".Size)",
			"secret.yaml:4: unexpected right paren"},
		{"an object without a kind", "secret.yaml", "kind: Secret\n", "",
			"secret.yaml:1: an object has `kind`, and this has none"},
		{"a kind from a placeholder", "secret.yaml", "kind: Secret", `kind: "{{"Secret"}}"`,
			"secret.yaml:2: `kind` must not come from a placeholder"},
		{"a template that is none without placeholders", "secret.yaml", `{payload: "{{RandDataWithSeed .Size .Name}}"}`,
			"{payload: {a: {{.Size}}}}", "secret.yaml:5: this is not YAML"},
		{"YAML that is none", "config.yaml", "name: example", "name: [example",
			"config.yaml:2: this is not YAML"},
		{"YAML that is none, after a loop", "config.yaml", "- name: end", "- name: end: again",
			"config.yaml:12: this is not YAML"},
		{"a key that is there twice", "config.yaml", "name: example", "name: example\nname: again",
			"config.yaml:3: "},
		{"a config of nothing", "config.yaml", "", "", "config.yaml:1: there is nothing in it"},
		{"a config that is a list", "config.yaml", "name: example", "- name: example", "config.yaml:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			texts := files()
			if c.old == "" {
				texts[c.file] = c.new
			} else {
				if !strings.Contains(texts[c.file], c.old) {
					t.Fatalf("%s has no %q", c.file, c.old)
				}
				texts[c.file] = strings.Replace(texts[c.file], c.old, c.new, 1)
			}
			stdout, stderr, code := expandOf(t, texts, "{}")
			if code != exitFaulty || !strings.HasPrefix(stderr, c.says) {
				t.Errorf("exit code %d, and it says %q, not %q", code, stderr, c.says)
			}
			if stdout != "" {
				t.Errorf("it prints %q", stdout)
			}
		})
	}
}

func TestEveryFaultIsSaidOnce(t *testing.T) {
	texts := files()
	texts["config.yaml"] = strings.Replace(texts["config.yaml"], "step: round {{$round}}", "name: a", 1)
	_, stderr, _ := expandOf(t, texts, "{}")
	says := "config.yaml:8: `step` is not given, and modules/secrets.yaml:3 reads it\n" +
		"config.yaml:10: `name` is given, and nothing in modules/secrets.yaml reads it\n"
	if stderr != says {
		t.Errorf("it says %q", stderr)
	}
}

func TestInsideALoopOnlyTheRootIsWhatIsGiven(t *testing.T) {
	texts := files()
	texts["modules/secrets.yaml"] = strings.Replace(texts["modules/secrets.yaml"], "steps:\n",
		"steps:\n{{range StringSplit \"a,b\"}}{{$.step}} {{.}}\n{{end}}", 1)
	if _, stderr, code := expandOf(t, texts, "{}"); code != exitFaulty || !strings.Contains(stderr, "not YAML") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	texts = files()
	texts["modules/secrets.yaml"] = strings.Replace(texts["modules/secrets.yaml"], "steps:\n",
		"steps:\n{{range StringSplit \"a,b\"}}- {name: \"{{$.step}} {{.}}\"}\n{{end}}", 1)
	if _, stderr, code := expandOf(t, texts, "{}"); code != 0 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestNumbersOfParametersAreThoseThatClusterLoader2Sees(t *testing.T) {
	texts := map[string]string{"config.yaml": "name: \"{{.CL2_N}}\"\nqps: {{AddInt .CL2_N}}\n"}
	stdout, stderr, code := expandOf(t, texts, "CL2_N: 2000000")
	if code != 0 || !strings.Contains(stdout, `"2e+06"`) || !strings.Contains(stdout, "2000000") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

func TestRandomDataWithASeedIsThatOfClusterLoader2(t *testing.T) {
	const inAConfigMap = "JKFCdgQyX304dbGPun5xEtpI" // that a real ClusterLoader2 created
	if found := randDataWithSeed(24.0, "0-create-0/g200-2-1/configmap-7"); found != inAConfigMap {
		t.Errorf("it is %q", found)
	}
}

func TestACommandLineThatIsNoneIsAnErrorOfItsOwn(t *testing.T) {
	for _, arguments := range [][]string{{}, {"a", "b"}, {"-unknown"}} {
		var out, err bytes.Buffer
		if code := run(arguments, &out, &err); code != exitUsage || err.Len() == 0 {
			t.Errorf("%v: exit code %d, %q", arguments, code, err.String())
		}
	}
}
