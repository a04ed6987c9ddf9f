// Command watch-herd holds many watches over Secrets and ConfigMaps in the Projects of one or two API
// servers, while writers create, change and delete objects in them at a constant rate.  It accounts for
// every event: delivered when, lost, twice, out of order, or delivered to a Project that does not own
// the object.
//
//	watch-herd CONFIG RESULT [PART/PARTS]
//
// With a part, several processes divide the load, each below a load agent (go/load-agent).
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// filledAtOnce is how many Projects of an arm are filled side by side. Each create of Milo sleeps, so one after
// the other takes a minute; many at once would be refused.
const filledAtOnce = 8

// config is the load, the same for each arm.
type config struct {
	Arms        []armConfig `json:"arms"`
	Run         string      `json:"run"`
	Seed        uint64      `json:"seed"`
	Projects    int         `json:"projects"`
	Watches     int         `json:"watches"`
	Objects     int         `json:"objects"` // of each kind in each Project, before the watches begin
	ObjectBytes int         `json:"object_bytes"`
	Rate        float64     `json:"rate"`      // writes per second
	ListRate    float64     `json:"list_rate"` // lists per second
	DurationS   float64     `json:"duration_s"`
	SetupS      float64     `json:"setup_s"`
	SyncS       float64     `json:"sync_s"`
	DrainS      float64     `json:"drain_s"`
	RequestS    float64     `json:"request_s"`
	SettleS     float64     `json:"settle_s"`
	WatchS      int         `json:"watch_timeout_s"`
	WatchList   bool        `json:"watch_list"`
	ListWays    []string    `json:"list_ways"`
	PageSize    int         `json:"page_size"`
}

type armConfig struct {
	Name             string   `json:"name"`
	URL              string   `json:"url"`
	CAFile           string   `json:"ca_file"`
	TokenFile        string   `json:"token_file"`
	AdminTokenFile   string   `json:"admin_token_file"`
	Metrics          []string `json:"metrics"` // URL of each API server's Prometheus text
	OrganizationPath bool     `json:"organization_path"`
}

// result is what is left in the file RESULT.
type result struct {
	Arms     map[string]account `json:"arms"`
	BeganS   float64            `json:"began_s"` // Unix time of the first write
	EndedS   float64            `json:"ended_s"`
	CPUShare float64            `json:"cpu_share"` // of the processors, used by this process between the two
}

func main() {
	var err error
	mine, meet := whole, barrier(alone)
	if len(os.Args) == 4 {
		mine, err = parsePart(os.Args[3])
		meet = agentBarrier(agentFile(), os.Stdin)
	}
	if len(os.Args) < 3 || len(os.Args) > 4 || err != nil {
		fmt.Fprintln(os.Stderr, "usage: watch-herd CONFIG RESULT [PART/PARTS]")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1], os.Args[2], mine, meet); err != nil {
		fmt.Fprintln(os.Stderr, "watch-herd:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, from, to string, mine part, meet barrier) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var c config
	if err := json.Unmarshal(content, &c); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	clients := make([]*client, len(c.Arms))
	for i, arm := range c.Arms {
		if mine.number > 0 {
			arm.Metrics = nil // The first part reads for all what the servers use.
		}
		if clients[i], err = newClient(arm, cancel); err != nil {
			return fmt.Errorf("%s: %w", arm.Name, err)
		}
	}
	found, err := c.load(ctx, clients, mine, meet)
	if err != nil {
		return err
	}
	content, err = json.Marshal(found)
	if err != nil {
		return err
	}
	return os.WriteFile(to, append(content, '\n'), 0o600)
}

// stage is a step of a load. It begins when every arm and every part has ended the one before, so that all
// arms are always loaded alike.
type stage struct {
	do      func(*herd, context.Context) error
	seconds float64 // that it may take; 0 for no limit
}

// load applies one part of the load to all arms side by side.
func (c config) load(ctx context.Context, clients []*client, mine part, meet barrier) (result, error) {
	herds := make([]*herd, len(clients))
	failed := make([]string, len(clients))
	for i, one := range clients {
		herds[i] = &herd{config: c, part: mine, client: one, ledger: newLedger(), usage: map[string]usage{}}
	}
	defer func() {
		for _, one := range herds {
			one.end()
		}
	}()
	apply := func(stages ...stage) error {
		for _, one := range stages {
			bounded, cancel := ctx, context.CancelFunc(func() {})
			if one.seconds > 0 {
				bounded, cancel = context.WithTimeout(ctx, time.Duration(one.seconds*float64(time.Second)))
			}
			each(herds, failed, func(h *herd) error { return one.do(h, bounded) })
			cancel()
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := meet(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	usage := func(moment string) stage {
		return stage{func(h *herd, ctx context.Context) error { return h.measure(ctx, moment) }, c.SetupS}
	}
	err := apply(stage{(*herd).prepare, c.SetupS}, usage("before"), stage{(*herd).begin, c.SyncS}, usage("open"))
	if err != nil {
		return result{}, err
	}
	began, cpu := time.Now(), cpuTime()
	if strings.Join(failed, "") == "" { // otherwise the arms would not be loaded alike
		each(herds, failed, func(h *herd) error { return h.write(ctx) })
	}
	lasted, used := time.Since(began), cpuTime()-cpu
	if err := meet(ctx); err != nil {
		return result{}, err
	}
	if err := apply(stage{do: (*herd).drain}, stage{do: (*herd).finish}, usage("ended")); err != nil {
		return result{}, err
	}
	start := float64(began.UnixMicro()) / 1e6
	found := result{
		Arms:     map[string]account{},
		BeganS:   start,
		EndedS:   start + lasted.Seconds(),
		CPUShare: used.Seconds() / max(lasted.Seconds(), 1e-3) / float64(runtime.GOMAXPROCS(0)),
	}
	for i, h := range herds {
		one := h.ledger.settle(h.watches)
		one.Failed, one.Late = failed[i], int(h.late.Load())
		one.Usage, one.UsageError = h.usage, h.usageError
		found.Arms[clients[i].arm.Name] = one
	}
	return found, context.Cause(ctx)
}

// each runs a stage for every arm at once that has not failed before.
func each(herds []*herd, failed []string, do func(*herd) error) {
	var group sync.WaitGroup
	for i, h := range herds {
		if failed[i] != "" {
			continue
		}
		group.Add(1)
		go func() {
			defer group.Done()
			if err := do(h); err != nil {
				failed[i] = err.Error()
			}
		}()
	}
	group.Wait()
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// herd is the load of one arm.
type herd struct {
	config  config
	part    part
	client  *client
	ledger  *ledger
	names   []string // of the Projects of all parts
	watches []*watch
	stop    context.CancelFunc
	group   sync.WaitGroup
	late    atomic.Int64

	usage      map[string]usage // of the servers, by the moment
	usageError string
}

// prepare creates and fills the Projects.
func (h *herd) prepare(ctx context.Context) error {
	for i := range h.config.Projects {
		h.names = append(h.names, fmt.Sprintf("%s-%d", h.config.Run, i))
	}
	if err := h.client.prepare(ctx, h.config.Run, h.names, h.part); err != nil {
		return err
	}
	bounded, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		group  sync.WaitGroup
		once   sync.Once
		failed error
	)
	free := make(chan struct{}, filledAtOnce)
	for project := range h.names {
		if !h.part.has(project) {
			continue
		}
		free <- struct{}{}
		group.Add(1)
		go func() {
			defer group.Done()
			if err := h.fill(bounded, project); err != nil {
				once.Do(func() { failed = err })
				cancel()
			}
			<-free
		}()
	}
	group.Wait()
	return failed
}

// fill creates the objects of one Project that exist before the watches begin.
func (h *herd) fill(ctx context.Context, project int) error {
	name := h.names[project]
	for resource := range resources {
		for i := range h.config.Objects {
			one := h.object(project, resource, fmt.Sprintf("filled-%d", i), -1)
			if err := h.client.callPatiently(ctx, "POST", objectsPath(name, resource), one, nil); err != nil {
				return fmt.Errorf("%s cannot be filled: %w", name, err)
			}
		}
	}
	if err := h.client.touch(ctx, name); err != nil {
		return fmt.Errorf("%s cannot be listed: %w", name, err)
	}
	return nil
}

// measure waits until what requests and watches have used is free again, for a bounded time, and records
// what the servers use at a moment. If that cannot be read, it is missing, and the load goes on.
func (h *herd) measure(ctx context.Context, moment string) error {
	bounded, cancel := context.WithTimeout(ctx, time.Duration(h.config.SettleS*float64(time.Second)))
	defer cancel()
	if err := h.client.settle(bounded); err != nil {
		h.usageError = err.Error()
	}
	if len(h.client.arm.Metrics) == 0 || h.usageError != "" {
		return nil
	}
	found, err := h.client.measure(ctx)
	if err != nil {
		h.usageError = err.Error()
		return nil
	}
	h.usage[moment] = found
	return nil
}

// begin starts all watches, and returns once each is in step.
func (h *herd) begin(ctx context.Context) error {
	running, stop := context.WithCancel(context.Background())
	h.stop = stop
	var inStep sync.WaitGroup
	for i := range h.config.Watches {
		project := i / len(resources) % len(h.names)
		if !h.part.has(project) {
			continue
		}
		one := &watch{
			client:   h.client,
			ledger:   h.ledger,
			names:    h.names,
			project:  project,
			resource: i % len(resources),
			isList:   h.config.WatchList,
			objects:  h.config.Objects,
			timeoutS: h.config.WatchS,
			random:   rand.New(rand.NewPCG(h.config.Seed, uint64(i)+2)),
			restarts: map[string]int{},
		}
		h.watches = append(h.watches, one)
		inStep.Add(1)
		h.group.Add(1)
		go func() {
			defer h.group.Done()
			one.follow(running, inStep.Done)
		}()
	}
	done := make(chan struct{})
	go func() { inStep.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("not all watches were in step within %g s", h.config.SyncS)
	}
}

func (h *herd) end() {
	if h.stop != nil {
		h.stop()
		h.group.Wait()
	}
}

// finish ends the watches.
func (h *herd) finish(ctx context.Context) error {
	h.end()
	return ctx.Err()
}

// drain waits until every event was delivered, or the time for it is over.
func (h *herd) drain(ctx context.Context) error {
	deadline := time.Now().Add(time.Duration(h.config.DrainS * float64(time.Second)))
	for !h.ledger.delivered(h.watches) && time.Now().Before(deadline) {
		if !sleep(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
	}
	return nil
}

// write applies the open load: each write and each list begins at its time, whatever the others do.
func (h *herd) write(ctx context.Context) error {
	var group sync.WaitGroup
	random := rand.New(rand.NewPCG(h.config.Seed, 1))
	began := time.Now()
	open := func(rate float64, project func(number int) int, do func(number int)) {
		defer group.Done()
		for number := 0; number < int(rate*h.config.DurationS); number++ {
			if !h.part.has(project(number)) {
				continue
			}
			due := began.Add(time.Duration(float64(number) / rate * float64(time.Second)))
			if wait := time.Until(due); wait > 0 && !sleep(ctx, wait) {
				return
			} else if wait < -100*time.Millisecond {
				h.late.Add(1)
			}
			group.Add(1)
			go func() {
				defer group.Done()
				do(number)
			}()
		}
	}
	plan := h.plan(random)
	group.Add(1)
	written := func(number int) int { return plan[number].project }
	go open(h.config.Rate, written, func(number int) { h.change(ctx, plan[number], int32(number)) })
	if h.config.ListRate > 0 {
		group.Add(1)
		listed := func(number int) int { return h.listTarget(number).project }
		go open(h.config.ListRate, listed, func(number int) { h.list(ctx, number) })
	}
	group.Wait()
	return ctx.Err()
}

// change is one planned write.
type change struct {
	project, resource, object int
	verb                      string
	after                     chan struct{} // closed when the write before of this object has ended
	done                      chan struct{}
}

// plan returns the writes in their order: objects are created, changed twice and deleted.
func (h *herd) plan(random *rand.Rand) []change {
	verbs := []string{"POST", "PUT", "PUT", "DELETE"}
	count := int(h.config.Rate * h.config.DurationS)
	type alive struct {
		change
		next int
	}
	var objects []alive
	plan := make([]change, 0, count)
	const pool = 40
	for number := range count {
		at := random.IntN(pool)
		if at >= len(objects) {
			open := make(chan struct{})
			close(open)
			fresh := change{
				project: random.IntN(len(h.names)), resource: random.IntN(len(resources)),
				object: number, done: open,
			}
			objects = append(objects, alive{fresh, 0})
			at = len(objects) - 1
		}
		one := &objects[at]
		step := change{
			project: one.project, resource: one.resource, object: one.object,
			verb: verbs[one.next], after: one.done, done: make(chan struct{}),
		}
		plan = append(plan, step)
		one.done = step.done
		if one.next++; one.next == len(verbs) {
			objects[at] = objects[len(objects)-1]
			objects = objects[:len(objects)-1]
		}
	}
	return plan
}

func (h *herd) object(project, resource int, name string, number int32) object {
	return object{
		APIVersion: "v1",
		Kind:       resources[resource].kind,
		Metadata: metadata{
			Name:        name,
			Labels:      map[string]string{labelProject: h.names[project]},
			Annotations: map[string]string{annotation: strconv.Itoa(int(number))},
		},
		Data: map[string]string{"payload": strings.Repeat("QUFB", (h.config.ObjectBytes+3)/4)},
	}
}

// change sends one write, after the one before of the same object.
func (h *herd) change(ctx context.Context, one change, number int32) {
	defer close(one.done)
	select {
	case <-one.after:
	case <-ctx.Done():
		return
	}
	name := fmt.Sprintf("herd-%d", one.object)
	path := objectsPath(h.names[one.project], one.resource)
	var body any
	switch one.verb {
	case "DELETE":
		h.ledger.announce(name, number)
		path += "/" + name
	case "PUT":
		path += "/" + name
		body = h.object(one.project, one.resource, name, number)
	default:
		body = h.object(one.project, one.resource, name, number)
	}
	bounded, cancel := context.WithTimeout(ctx, time.Duration(h.config.RequestS*float64(time.Second)))
	defer cancel()
	sent := h.ledger.now()
	if err := h.client.call(bounded, one.verb, path, body, nil); err != nil {
		h.ledger.refuse(one.verb + " " + reasonOf(err))
		return
	}
	answered := h.ledger.now()
	h.ledger.accept(number, write{one.project, one.resource, answered}, answered-sent)
}

// listTarget is what one list reads, and how.
type listTarget struct {
	way               string
	project, resource int
}

// listTarget returns what a list reads: each way by turns reads each Project, then the next resource.
func (h *herd) listTarget(number int) listTarget {
	ways := h.config.ListWays
	round := number / len(ways)
	return listTarget{
		way:      ways[number%len(ways)],
		project:  round % len(h.names),
		resource: round / len(h.names) % len(resources),
	}
}

// list reads objects in one of some ways: a page, everything from etcd, everything from the cache, or
// everything by a WatchList.
func (h *herd) list(ctx context.Context, number int) {
	queries := map[string]string{
		"page": "?limit=" + strconv.Itoa(h.config.PageSize), "full": "", "cached": "?resourceVersion=0",
	}
	target := h.listTarget(number)
	bounded, cancel := context.WithTimeout(ctx, time.Duration(h.config.RequestS*float64(time.Second)))
	defer cancel()
	sent := h.ledger.now()
	var err error
	if query, isList := queries[target.way]; isList {
		path := objectsPath(h.names[target.project], target.resource) + query
		err = h.client.call(bounded, "GET", path, nil, nil)
	} else {
		err = h.listByWatch(bounded, target.project, target.resource)
	}
	if err != nil {
		h.ledger.refuse("list " + target.way + " " + reasonOf(err))
		return
	}
	h.ledger.listed(target.way, h.ledger.now()-sent)
}
