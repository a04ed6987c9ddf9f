package main

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	segmentFlag  = "--execution-segment="
	sequenceFlag = "--execution-segment-sequence="
)

// segment returns k6's execution segment flags for a Pod: those in its arguments, which
// the k6-operator sets, or otherwise those for its index in an Indexed Job.
func segment(args []string, index string, pods int) ([]string, error) {
	var given []string
	for _, arg := range args {
		if strings.HasPrefix(arg, segmentFlag) || strings.HasPrefix(arg, sequenceFlag) {
			given = append(given, arg)
		}
	}
	if len(given) > 0 || pods == 1 {
		return given, nil
	}
	number, err := strconv.Atoi(index)
	if err != nil || number < 0 || number >= pods {
		return nil, fmt.Errorf("JOB_COMPLETION_INDEX is %q, and there are %d Pods", index, pods)
	}
	bounds := make([]string, pods+1)
	for at := range bounds {
		bounds[at] = fmt.Sprintf("%d/%d", at, pods)
	}
	bounds[0], bounds[pods] = "0", "1"
	return []string{
		segmentFlag + bounds[number] + ":" + bounds[number+1],
		sequenceFlag + strings.Join(bounds, ","),
	}, nil
}
