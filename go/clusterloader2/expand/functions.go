package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
)

// functions returns the template functions of ClusterLoader2: the same names,
// numbers of arguments and results. Random values are the same each time, so
// that the same config expands to the same text.
//
// Source: kubernetes/perf-tests, clusterloader2/pkg/config/template_functions.go.
func functions(folder string) template.FuncMap {
	random := rand.New(rand.NewSource(1))
	return template.FuncMap{
		"AddFloat":         sum,
		"AddInt":           func(v ...any) int { return int(sum(v...)) },
		"Ceil":             func(v any) float64 { return math.Ceil(number(v)) },
		"Concat":           func(v ...string) string { return strings.Join(v, "") },
		"DefaultParam":     defaultParam,
		"DivideFloat":      divide,
		"DivideInt":        func(a, b any) int { return int(divide(a, b)) },
		"IfThenElse":       ifThenElse,
		"IncludeEmbedFile": func(path string) (string, error) { return content(filepath.Join(folder, path)) },
		"IncludeFile":      includeFile,
		"Loop":             loop,
		"Lowercase":        strings.ToLower,
		"MaxFloat":         func(v ...any) float64 { return extreme(math.Max, v) },
		"MaxInt":           func(v ...any) int { return int(extreme(math.Max, v)) },
		"MinFloat":         func(v ...any) float64 { return extreme(math.Min, v) },
		"MinInt":           func(v ...any) int { return int(extreme(math.Min, v)) },
		"Mod":              func(a, b any) int { return int(number(a)) % int(number(b)) },
		"MultiplyFloat":    product,
		"MultiplyInt":      func(v ...any) int { return int(product(v...)) },
		"RandData":         func(n any) string { return letters(random, int(number(n))) },
		"RandDataWithSeed": randDataWithSeed,
		"RandInt":          func(n any) int { return random.Intn(int(number(n)) + 1) },
		"RandIntRange":     func(a, b any) int { return between(random, int(number(a)), int(number(b))) },
		"Seq":              zeros,
		"SliceOfZeros":     zeros,
		"StringSplit":      func(s string) []string { return strings.Split(s, ",") },
		"StructuralData":   func(v any) any { return v },
		"SubtractFloat":    func(a, b any) float64 { return number(a) - number(b) },
		"SubtractInt":      func(a, b any) int { return int(number(a) - number(b)) },
		"YamlQuote":        yamlQuote,
	}
}

// number returns a value as a number. It panics if it is not one; text/template
// turns the panic into an error of the calling template.
func number(v any) float64 {
	switch n := v.(type) {
	case int:
		return float64(n)
	case float64:
		return n
	case string:
		if f, err := strconv.ParseFloat(n, 64); err == nil {
			return f
		}
	}
	panic(fmt.Sprintf("%v is not a number", v))
}

func sum(values ...any) float64 {
	total := 0.0
	for _, v := range values {
		total += number(v)
	}
	return total
}

func product(values ...any) float64 {
	total := 1.0
	for _, v := range values {
		total *= number(v)
	}
	return total
}

func divide(a, b any) float64 {
	if number(b) == 0 {
		panic("division by zero")
	}
	return number(a) / number(b)
}

func extreme(of func(a, b float64) float64, values []any) float64 {
	if len(values) == 0 {
		panic("no values")
	}
	found := number(values[0])
	for _, v := range values {
		found = of(found, number(v))
	}
	return found
}

func defaultParam(given, otherwise any) any {
	if given == nil {
		return otherwise
	}
	return given
}

func ifThenElse(condition, then, otherwise any) (any, error) {
	holds, isBool := condition.(bool)
	if !isBool {
		return nil, fmt.Errorf("%v is not true or false", condition)
	}
	if holds {
		return then, nil
	}
	return otherwise, nil
}

func loop(size any) []int {
	found := zeros(size)
	for i := range found {
		found[i] = i
	}
	return found
}

func zeros(size any) []int { return make([]int, int(number(size))) }

func between(random *rand.Rand, low, high int) int {
	if low >= high {
		return low
	}
	return low + random.Intn(high-low+1)
}

func randDataWithSeed(size any, seed string) string {
	digest := sha256.Sum256([]byte(seed))
	return letters(rand.New(rand.NewSource(int64(binary.BigEndian.Uint64(digest[:])))), int(number(size)))
}

func letters(random *rand.Rand, size int) string {
	const all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	found := make([]byte, size)
	for i := range found {
		found[i] = all[random.Intn(len(all))]
	}
	return string(found)
}

// includeFile cannot follow a relative path: ClusterLoader2 resolves it from the
// folder of its own program.
func includeFile(path string) (string, error) {
	path = os.ExpandEnv(path)
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("%s is relative to ClusterLoader2's program: use IncludeEmbedFile", path)
	}
	return content(path)
}

func content(path string) (string, error) {
	found, err := os.ReadFile(path)
	return string(found), err
}

func yamlQuote(text string, tabs int) (string, error) {
	quoted, err := yaml.Marshal(&text)
	return strings.ReplaceAll(string(quoted), "\n", "\n"+strings.Repeat("  ", tabs)), err
}
