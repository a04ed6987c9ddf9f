package storage

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// Purger removes what Projects have in etcd. It works on keys, not on objects,
// so it needs no knowledge of types and finds whatever is there.
type Purger struct{ client *clientv3.Client }

// NewPurger connects to the etcd of the given configuration.
func NewPurger(config storagebackend.TransportConfig) (*Purger, error) {
	options := clientv3.Config{Endpoints: config.ServerList, DialTimeout: 20 * time.Second}
	if config.CertFile != "" || config.KeyFile != "" || config.TrustedCAFile != "" {
		info := transport.TLSInfo{CertFile: config.CertFile, KeyFile: config.KeyFile, TrustedCAFile: config.TrustedCAFile}
		tls, err := info.ClientConfig()
		if err != nil {
			return nil, err
		}
		options.TLS = tls
	}
	client, err := clientv3.New(options)
	if err != nil {
		return nil, err
	}
	return &Purger{client}, nil
}

// Purge removes every key below a Project except the namespace "default",
// which cannot be deleted: that key stays, as it does in Milo. If orphans is
// not zero, that many more keys are left behind: objects of the Project as far
// as it has any, and otherwise made ones.
func (p *Purger) Purge(ctx context.Context, project string, orphans int) error {
	start := Prefix(project) + "/"
	end := clientv3.GetPrefixRangeEnd(start)
	kept := []string{start + "namespaces/default"}
	if orphans > 0 {
		left, err := p.orphans(ctx, project, orphans)
		if err != nil {
			return err
		}
		kept = append(kept, left...)
		slices.Sort(kept)
	}
	// Between the sorted keys that stay, everything goes.
	for _, key := range append(kept, end) {
		if _, err := p.client.Delete(ctx, start, clientv3.WithRange(key)); err != nil {
			return err
		}
		start = key + "\x00"
	}
	return nil
}

// Remaining counts the objects of a Project, without its namespaces.
func (p *Purger) Remaining(ctx context.Context, project string) (int64, error) {
	prefix := Prefix(project) + "/"
	all, err := p.client.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	namespaces, err := p.client.Get(ctx, prefix+"namespaces/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	return all.Count - namespaces.Count, nil
}

// orphans names the keys that are to be left behind and makes those that are missing.
func (p *Purger) orphans(ctx context.Context, project string, wanted int) ([]string, error) {
	prefix := Prefix(project) + "/"
	found, err := p.client.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(int64(wanted)+1))
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, kv := range found.Kvs {
		if key := string(kv.Key); key != prefix+"namespaces/default" && len(keys) < wanted {
			keys = append(keys, key)
		}
	}
	for n := 0; len(keys) < wanted; n++ {
		name := fmt.Sprintf("orphan-%d", n)
		key := prefix + "configmaps/default/" + name
		if slices.Contains(keys, key) {
			continue
		}
		// A real object: a Project of the same name must be able to read it.
		object := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q,"namespace":"default","uid":%q}}`, name, project+"-"+name)
		if _, err := p.client.Put(ctx, key, object); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}
