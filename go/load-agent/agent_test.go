package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPointsAreKeptUntilTheyAreTaken(t *testing.T) {
	ask, code, _ := agentOf(t, nil, nil)
	until(t, "ready", func() bool { status, _ := ask("GET", statusPath, "", nil); return status == 200 })
	if status, body := ask("POST", "/agent/setup", token, nil); status != 200 || string(body) != `{"made":1}` {
		t.Fatalf("setup: %d %s", status, body)
	}
	if status, body := ask("GET", "/agent/state", token, nil); status != 200 || !strings.Contains(string(body), `"running":true`) {
		t.Fatalf("state: %d %s", status, body)
	}
	if status, _ := ask("POST", "/agent/downloaded", token, nil); status != http.StatusConflict {
		t.Fatalf("taken before the end: %d", status)
	}
	if status, _ := ask("POST", "/agent/start", token, nil); status != 200 {
		t.Fatalf("start: %d", status)
	}
	var state struct {
		Running bool
		Exit    int
		Files   []resultFile
	}
	until(t, "ended", func() bool {
		_, body := ask("GET", "/agent/state", token, nil)
		return json.Unmarshal(body, &state) == nil && !state.Running
	})
	if state.Exit != 0 || len(state.Files) != 3 {
		t.Fatalf("%+v", state)
	}
	for _, file := range state.Files {
		status, content := ask("GET", "/agent/files/"+file.Name, token, nil)
		hash := sha256.Sum256(content)
		if status != 200 || int64(len(content)) != file.Size || hex.EncodeToString(hash[:]) != file.SHA256 {
			t.Fatalf("%s: %d, %d bytes", file.Name, status, len(content))
		}
	}
	if status, _ := ask("GET", statusPath, "", nil); status != 200 {
		t.Fatalf("a Pod that keeps points must look alive: %d", status)
	}
	if status, _ := ask("POST", "/agent/downloaded", token, nil); status != 200 {
		t.Fatalf("taken: %d", status)
	}
	if got := <-code; got != 0 {
		t.Fatalf("exited with %d", got)
	}
}

func TestNobodyStartsItWithoutTheToken(t *testing.T) {
	ask, code, folder := agentOf(t, nil, nil)
	until(t, "ready", func() bool { status, _ := ask("GET", statusPath, "", nil); return status == 200 })
	for _, one := range []string{"POST setup", "PUT setup", "POST start", "POST taken", "GET state", "GET files/k6.log"} {
		method, path, _ := strings.Cut(one, " ")
		if status, _ := ask(method, "/agent/"+path, "guessed", nil); status != http.StatusForbidden {
			t.Errorf("%s: %d", one, status)
		}
	}
	// What the starter of the operator sends changes nothing: only our client starts the load.
	if status, _ := ask("PATCH", statusPath, "", []byte(resume)); status != 200 {
		t.Errorf("the operator's starter: %d", status)
	}
	time.Sleep(200 * time.Millisecond)
	if _, err := os.Stat(filepath.Join(folder, "said.json")); err == nil {
		t.Error("k6 was started")
	}
	interrupt(t, code)
}

func TestTheOperatorsShareIsTaken(t *testing.T) {
	given := []string{
		"run", "--quiet", "--execution-segment=1/3:2/3", "--execution-segment-sequence=0,1/3,2/3,1",
		"/test/script.js", "--address=0.0.0.0:6565", "--paused", "--tag", "instance_id=2",
	}
	ask, code, folder := agentOf(t, given, map[string]string{"AGENT_PODS": "3"})
	until(t, "ready", func() bool { status, _ := ask("GET", statusPath, "", nil); return status == 200 })
	if status, _ := ask("PUT", "/agent/setup", token, []byte(`{"made":7}`)); status != 200 {
		t.Fatal(status)
	}
	ask("POST", "/agent/start", token, nil)
	var said struct {
		Args  []string
		Data  map[string]int
		Patch string
	}
	until(t, "started", func() bool {
		content, err := os.ReadFile(filepath.Join(folder, "said.json"))
		return err == nil && json.Unmarshal(content, &said) == nil
	})
	rest := slices.IndexFunc(said.Args, func(arg string) bool { return strings.HasPrefix(arg, "--address=127.0.0.1:") })
	want := []string{"--execution-segment=1/3:2/3", "--execution-segment-sequence=0,1/3,2/3,1", "--out=csv=x", "script.js"}
	if rest < 0 || !slices.Equal(said.Args[rest+1:], want) || said.Data["made"] != 7 || !strings.Contains(said.Patch, `"paused":false`) {
		t.Fatalf("%+v", said)
	}
	interrupt(t, code)
}

func TestALoadThatK6RefusesIsToldWithItsLog(t *testing.T) {
	ask, code, _ := agentOf(t, nil, map[string]string{"AGENT_ARGS": `[["refused"]]`})
	until(t, "ended", func() bool {
		status, body := ask("GET", "/agent/state", token, nil)
		return status == 200 && strings.Contains(string(body), `"exit":104`)
	})
	if _, body := ask("GET", "/agent/files/k6.log", token, nil); string(body) != "no such flag\n" {
		t.Fatalf("%q", body)
	}
	for _, name := range []string{"..%2f..%2fetc%2fpasswd", "none"} {
		if status, _ := ask("GET", "/agent/files/"+name, token, nil); status != http.StatusNotFound {
			t.Errorf("%s: %d", name, status)
		}
	}
	interrupt(t, code)
}

func TestPointsThatNobodyTakesEndThePod(t *testing.T) {
	_, code, _ := agentOf(t, nil, map[string]string{"AGENT_ARGS": `[["refused"]]`, "AGENT_KEEP": "10ms"})
	if got := <-code; got != exitFailed {
		t.Fatal(got)
	}
}

func TestShares(t *testing.T) {
	for _, one := range []struct {
		index string
		pods  int
		want  []string
	}{
		{"", 1, nil},
		{"0", 2, []string{"--execution-segment=0:1/2", "--execution-segment-sequence=0,1/2,1"}},
		{"3", 4, []string{"--execution-segment=3/4:1", "--execution-segment-sequence=0,1/4,2/4,3/4,1"}},
	} {
		if got, err := segment(nil, one.index, one.pods); err != nil || !slices.Equal(got, one.want) {
			t.Errorf("%s of %d: %v, %v", one.index, one.pods, got, err)
		}
	}
	for _, index := range []string{"", "x", "2", "-1"} {
		if got, err := segment(nil, index, 2); err == nil {
			t.Errorf("index %q of 2: %v", index, got)
		}
	}
}

func TestWhatIsNotSetIsNamed(t *testing.T) {
	whole := map[string]string{
		"AGENT_PROGRAM": "x", "AGENT_FOLDER": "x", "AGENT_LISTEN": "x", "AGENT_REST": "x",
		"AGENT_ARGS": "[[]]", "AGENT_LOG": "x", "AGENT_PODS": "1", "AGENT_KEEP": "1s", "AGENT_TOKEN_FILE": "/dev/null",
	}
	for name, wrong := range map[string]string{
		"AGENT_PROGRAM": "", "AGENT_FOLDER": "", "AGENT_LISTEN": "", "AGENT_LOG": "",
		"AGENT_ARGS": "[]", "AGENT_SIDECARS": "gateway", "AGENT_PODS": "0", "AGENT_KEEP": "soon", "AGENT_TOKEN_FILE": "/dev/null",
	} {
		_, err := read(func(asked string) string {
			if asked == name {
				return wrong
			}
			return whole[asked]
		})
		if err == nil || !strings.Contains(err.Error(), name) && name != "AGENT_TOKEN_FILE" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A program without a REST API begins when it is told to, after what it needs beside it.
func TestAnotherProgramBeginsWhenItIsTold(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	ask, code, folder := agentOf(t, nil, map[string]string{
		"AGENT_REST": "", "AGENT_LOG": "cl2.log", "AGENT_PODS": "2", "JOB_COMPLETION_INDEX": "1",
		"AGENT_ARGS":     `[["refused"],["refused","second"]]`,
		"AGENT_SIDECARS": fmt.Sprintf(`[{"commands": [["false"],["sleep","60"]], "at": %q}]`, listener.Addr()),
	})
	until(t, "ready", func() bool { status, _ := ask("GET", statusPath, "", nil); return status == 200 })
	if status, _ := ask("POST", "/agent/setup", token, nil); status != http.StatusNotFound {
		t.Errorf("it has no setup: %d", status)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 {
		t.Fatalf("it began before it was told: %v, %v", entries, err)
	}
	ask("POST", "/agent/start", token, nil)
	var state struct {
		Running      bool
		Exit         int
		Began, Ended float64
	}
	until(t, "ended", func() bool {
		_, body := ask("GET", "/agent/state", token, nil)
		return json.Unmarshal(body, &state) == nil && !state.Running
	})
	if state.Exit != 104 || state.Began < 1e9 || state.Ended < state.Began {
		t.Fatalf("%+v", state)
	}
	if _, body := ask("GET", "/agent/files/cl2.log", token, nil); string(body) != "no such flag\n" {
		t.Fatalf("%q", body)
	}
	ask("POST", "/agent/downloaded", token, nil)
	if got := <-code; got != 0 {
		t.Fatal(got)
	}
}

func TestAProgramWaitsAtEachBarrierUntilItIsReleased(t *testing.T) {
	ask, code, _ := agentOf(t, nil, map[string]string{
		"AGENT_REST": "", "AGENT_BARRIERS": "yes", "AGENT_ARGS": `[["barriers"]]`,
	})
	until(t, "ready", func() bool { status, _ := ask("GET", statusPath, "", nil); return status == 200 })
	if status, _ := ask("POST", "/agent/barriers/1", token, nil); status != http.StatusConflict {
		t.Fatalf("it has reached none: %d", status)
	}
	ask("POST", "/agent/start", token, nil)
	reached := func(want string) func() bool {
		return func() bool {
			_, body := ask("GET", "/agent/state", token, nil)
			return strings.Contains(string(body), want)
		}
	}
	until(t, "at the first barrier", reached(`"running":true,"barriers":1`))
	for _, wrong := range []string{"2", "x"} {
		if status, _ := ask("POST", "/agent/barriers/"+wrong, token, nil); status != http.StatusConflict {
			t.Fatalf("barrier %s is not reached: %d", wrong, status)
		}
	}
	for range 2 { // a request that is repeated releases no other barrier
		if status, _ := ask("POST", "/agent/barriers/1", token, nil); status != 200 {
			t.Fatalf("barrier 1: %d", status)
		}
	}
	until(t, "at the second barrier", reached(`"running":true,"barriers":2`))
	time.Sleep(100 * time.Millisecond)
	if !reached(`"running":true,"barriers":2`)() {
		t.Fatal("it did not wait")
	}
	ask("POST", "/agent/barriers/2", token, nil)
	until(t, "ended", reached(`"running":false,"barriers":2,"exit":0`))
	if _, body := ask("GET", "/agent/files/k6.log", token, nil); string(body) != "passed\npassed\n" {
		t.Fatalf("%q", body)
	}
	interrupt(t, code)
}

func TestWhatIsNeededBesideAndDoesNotComeIsTold(t *testing.T) {
	for command, said := range map[string]string{
		"/nonexistent": "no such file", "false": "false ended before the load: exit status 1",
	} {
		given := fmt.Sprintf(`[{"commands": [["%s"]], "at": "127.0.0.1:1"}]`, command)
		ask, code, _ := agentOf(t, nil, map[string]string{"AGENT_REST": "", "AGENT_SIDECARS": given})
		until(t, "ready", func() bool { status, _ := ask("GET", statusPath, "", nil); return status == 200 })
		ask("POST", "/agent/start", token, nil)
		until(t, "ended", func() bool {
			_, body := ask("GET", "/agent/state", token, nil)
			return strings.Contains(string(body), said)
		})
		interrupt(t, code)
	}
}

func TestSidecarsOfAnotherFormAreRefused(t *testing.T) {
	for given, said := range map[string]string{
		`{}`:                              "not a list of sidecars",
		`[{"commands": [[]], "at": "x"}]`: "empty command",
		`[{"commands": [], "at": "x"}]`:   "has 0 lists",
		`[{"commands": [["a"], ["b"]]}]`:  "has 2 lists",
	} {
		_, err := sidecars(func(name string) string {
			if name == "AGENT_SIDECARS" {
				return given
			}
			return ""
		})
		if err == nil || !strings.Contains(err.Error(), said) {
			t.Errorf("%s: %v", given, err)
		}
	}
}
