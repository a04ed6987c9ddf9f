package storage

import (
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// childCreations has the name and the labels of Milo's own metric. There is no
// label for the Project, because Projects come and go without bound.
var childCreations = metrics.NewCounterVec(&metrics.CounterOpts{
	Name:           "projectstorage_child_creations_total",
	Help:           "Storages made for one type of one Project.",
	StabilityLevel: metrics.ALPHA,
}, []string{"resource_group", "resource_kind"})

func init() { legacyregistry.MustRegister(childCreations) }
