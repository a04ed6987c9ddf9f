package faults

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a parsed size.
type Size struct {
	// Value is in base units: seconds, bytes or 1.
	Value float64
	// Text is the canonical form.
	Text string
	// Share is the share of requests that the value applies to, for ShareDuration only.
	Share float64
}

// Unit says how the size of a fault is written.
type Unit struct {
	Name  string
	Parse func(string) (Size, error)
}

// The units that faults use.
var (
	Duration = Unit{"duration", parseDuration}
	Bytes    = Unit{"bytes", parseBytes}
	Count    = Unit{"count", parseCount}
	Rate     = Unit{"rate", parseRate}
	Share    = Unit{"share", parseShare}

	// ShareDuration is the delay of a share of requests, such as 5%:20ms.
	ShareDuration = Unit{"share:duration", parseShareDuration}
)

func parseDuration(text string) (Size, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return Size{}, fmt.Errorf("%q is not a duration", text)
	}
	// ASCII, and as the flag accepts it: 200us rather than 200µs.
	return Size{Value: d.Seconds(), Text: strings.ReplaceAll(d.String(), "µ", "u")}, nil
}

var byteUnits = []struct {
	suffix string
	factor float64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}}

func parseBytes(text string) (Size, error) {
	for _, unit := range byteUnits {
		number, found := strings.CutSuffix(text, unit.suffix)
		if !found {
			continue
		}
		value, err := parseNumber(number)
		value *= unit.factor
		if err != nil || value != math.Trunc(value) || value > 1<<30 {
			return Size{}, fmt.Errorf("%q is not a number of bytes up to 1GiB", text)
		}
		return Size{Value: value, Text: formatBytes(value)}, nil
	}
	return Size{}, fmt.Errorf("%q is not a number of bytes", text)
}

func formatBytes(value float64) string {
	for _, unit := range byteUnits {
		if n := value / unit.factor; n >= 1 && n == math.Trunc(n) {
			return formatNumber(n) + unit.suffix
		}
	}
	return "0B"
}

func parseCount(text string) (Size, error) {
	value, err := parseNumber(text)
	if err != nil || value != math.Trunc(value) || value > 1e6 {
		return Size{}, fmt.Errorf("%q is not a whole number up to 1000000", text)
	}
	return Size{Value: value, Text: formatNumber(value)}, nil
}

func parseRate(text string) (Size, error) {
	value, err := parseNumber(text)
	if err != nil || value > 1e6 {
		return Size{}, fmt.Errorf("%q is not a number up to 1000000", text)
	}
	return Size{Value: value, Text: formatNumber(value)}, nil
}

func parseShare(text string) (Size, error) {
	number, percent := strings.CutSuffix(text, "%")
	value, err := parseNumber(number)
	if percent {
		value /= 100
	}
	if err != nil || value > 1 {
		return Size{}, fmt.Errorf("%q is not a share between 0 and 1, or a percentage", text)
	}
	// Nine digits hide that 0.007*100 is not 0.7 in binary.
	return Size{Value: value, Text: strconv.FormatFloat(value*100, 'g', 9, 64) + "%"}, nil
}

func parseShareDuration(text string) (Size, error) {
	before, after, found := strings.Cut(text, ":")
	if !found {
		return Size{}, fmt.Errorf("%q is not SHARE:DURATION", text)
	}
	share, err := parseShare(before)
	if err != nil {
		return Size{}, err
	}
	delay, err := parseDuration(after)
	if err != nil {
		return Size{}, err
	}
	return Size{Value: delay.Value, Text: share.Text + ":" + delay.Text, Share: share.Value}, nil
}

// parseNumber accepts finite numbers that are not negative.
func parseNumber(text string) (float64, error) {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || !(value >= 0) || math.IsInf(value, 0) {
		return 0, fmt.Errorf("%q is not a number of zero or more", text)
	}
	return value, nil
}

func formatNumber(value float64) string { return strconv.FormatFloat(value, 'f', -1, 64) }
