// Command temporal stands in for the Temporal CLI, whose module needs one that no
// proxy has: of its commands it knows the three that deploy/namespace.sh asks for.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "temporal (a stand-in):", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	if len(arguments) < 3 || arguments[0] != "operator" {
		return errors.New("it knows operator cluster health, operator namespace describe and operator namespace create alone")
	}
	set := flag.NewFlagSet("temporal", flag.ContinueOnError)
	namespace, retention := set.String("namespace", "default", ""), set.String("retention", "72h", "")
	if err := set.Parse(arguments[3:]); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := client.DialContext(ctx, client.Options{HostPort: os.Getenv("TEMPORAL_ADDRESS")})
	if err != nil {
		return err
	}
	defer c.Close()
	switch strings.Join(arguments[1:3], " ") {
	case "cluster health":
		_, err = c.CheckHealth(ctx, nil)
	case "namespace describe":
		_, err = c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: *namespace})
	case "namespace create":
		// The CLI takes days as well, 30d.
		days, cut := strings.CutSuffix(*retention, "d")
		n, failed := strconv.Atoi(days)
		if !cut || failed != nil {
			return fmt.Errorf("the retention %q: write days as 30d", *retention)
		}
		_, err = c.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
			Namespace: *namespace, WorkflowExecutionRetentionPeriod: durationpb.New(time.Duration(n) * 24 * time.Hour),
		})
	default:
		err = fmt.Errorf("no command %q", arguments)
	}
	return err
}
