package temporalserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/server/api/adminservice/v1"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// checkServices refuses a part of a cluster that could not run.
func (o Options) checkServices() error {
	for _, name := range o.Services {
		if !slices.Contains(temporal.DefaultServices, name) {
			return fmt.Errorf("a Temporal server has no service %q; it has %q", name, temporal.DefaultServices)
		}
	}
	switch {
	case len(o.Services) > 0 && o.Postgres == nil:
		return errors.New("the processes of a Temporal cluster share a PostgreSQL: Services needs Postgres")
	case !o.runs(primitives.FrontendService) && o.Addr == "":
		return errors.New("a process without the frontend needs Addr, the frontend's host:port")
	}
	return nil
}

// clustered reports whether this process is one of several.
func (o Options) clustered() bool { return len(o.Services) > 0 }

// runs reports whether this process runs that service.
func (o Options) runs(service primitives.ServiceName) bool {
	return !o.clustered() || slices.Contains(o.Services, string(service))
}

// services are those that this process runs.
func (o Options) services() []string {
	if o.clustered() {
		return o.Services
	}
	return temporal.DefaultServices
}

// AwaitShards waits until the history shards of the cluster whose frontend is at addr
// are shared by that many history hosts.
func AwaitShards(ctx context.Context, addr string, hosts int) (err error) {
	connection, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("dial the Temporal server on %s: %w", addr, err)
	}
	defer func() { err = errors.Join(err, connection.Close()) }()
	admin := adminservice.NewAdminServiceClient(connection)
	for {
		held, missing, err := shardsHeld(ctx, admin)
		if err == nil && len(held) == hosts && missing == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the shards on %s to be shared by %d history hosts: %w (the hosts hold %v, nobody %d; %w)", addr, hosts, ctx.Err(), held, missing, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// shardsHeld are the numbers of shards that the history hosts hold, and of those that
// none holds.
func shardsHeld(ctx context.Context, admin adminservice.AdminServiceClient) (held []int, missing int, err error) {
	cluster, err := admin.DescribeCluster(ctx, &adminservice.DescribeClusterRequest{})
	if err != nil {
		return nil, 0, err
	}
	missing = int(cluster.GetHistoryShardCount())
	for _, ring := range cluster.GetMembershipInfo().GetRings() {
		if ring.GetRole() != string(primitives.HistoryService) {
			continue
		}
		for _, member := range ring.GetMembers() {
			host, err := admin.DescribeHistoryHost(ctx, &adminservice.DescribeHistoryHostRequest{HostAddress: member.GetIdentity()})
			if err != nil {
				return held, missing, err
			}
			held, missing = append(held, int(host.GetShardsNumber())), missing-int(host.GetShardsNumber())
		}
	}
	return held, missing, nil
}
