package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/worker"
	"go.uber.org/zap"

	"ringback/internal/service"
)

// The variables by which a program is told that it is a build of a worker
// deployment. Temporal's worker controller sets them by these names.
const (
	deploymentVariable = "TEMPORAL_DEPLOYMENT_NAME"
	buildVariable      = "TEMPORAL_WORKER_BUILD_ID"
)

// buildFrom reads both variables. Neither: the program is not versioned.
func buildFrom(variable func(string) string) (service.Build, error) {
	build := service.Build{Deployment: variable(deploymentVariable), ID: variable(buildVariable)}
	switch {
	case (build.Deployment == "") != (build.ID == ""):
		return service.Build{}, fmt.Errorf("%s=%q and %s=%q: set both, or neither for a program that is not versioned",
			deploymentVariable, build.Deployment, buildVariable, build.ID)
	case strings.ContainsAny(build.Deployment, ".:"):
		return service.Build{}, fmt.Errorf("%s=%q: Temporal takes no name with a dot or a colon", deploymentVariable, build.Deployment)
	case strings.HasPrefix(build.Deployment, "__") || strings.HasPrefix(build.ID, "__"):
		return service.Build{}, fmt.Errorf("%s=%q and %s=%q: what begins with __ is Temporal's own",
			deploymentVariable, build.Deployment, buildVariable, build.ID)
	}
	return build, nil
}

// deploymentOptions make a worker one of the build's.
func deploymentOptions(b service.Build) worker.DeploymentOptions {
	if !b.Versioned() {
		return worker.DeploymentOptions{}
	}
	return worker.DeploymentOptions{
		UseVersioning: true,
		Version:       worker.WorkerDeploymentVersion{DeploymentName: b.Deployment, BuildID: b.ID},
	}
}

// beginsHere reports whether a run may begin in this process without asking the
// server where: its build is the current one, and nothing goes elsewhere. So an
// upgrade, a share of it and its reversal hold for eager starts as well.
func (p *program) beginsHere() bool {
	if !p.Build.Versioned() {
		return true
	}
	routing := p.routing.Load()
	return routing != nil && routing.SendsAllTo(p.Build)
}

// current reports whether new operations may begin in this process at all, all of
// them or a share: for programs that are not versioned that is for others to say.
func (p *program) current() bool {
	routing := p.routing.Load()
	return !p.Build.Versioned() || routing != nil && routing.Current == p.Build
}

// readRouting asks the server which build is current. While it does not answer,
// what it said last holds.
func (p *program) readRouting(ctx context.Context) {
	if !p.Build.Versioned() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	routing, err := service.ReadRouting(ctx, p.client, p.Temporal.Namespace)
	if err != nil {
		return
	}
	before := p.routing.Swap(&routing)
	if before == nil || *before != routing {
		p.tellRouting(routing)
	}
}

func (p *program) tellRouting(r service.Routing) {
	fields := []zap.Field{zap.Stringer("build", p.Build), zap.Stringer("current", r.Current), zap.Bool("ramping", r.Ramping)}
	switch {
	case r.SendsAllTo(p.Build):
		p.Log.Info("this build is current: new operations begin in it", fields...)
	case r.Current.Versioned():
		p.Log.Info("another build is current, or has a share: the server decides where operations begin", fields...)
	default:
		p.Log.Warn("no build is current: operations begin in programs that are not versioned, or wait until `temporal worker deployment set-current-version` names a build", fields...)
	}
}

// backlogCounts are the builds whose backlog this program minds: the current one,
// to which its starts go, and its own. None: all that waits counts.
func (p *program) backlogCounts() []service.Build {
	routing := p.routing.Load()
	if routing == nil || !routing.Current.Versioned() {
		return nil
	}
	return slices.Compact([]service.Build{routing.Current, p.Build})
}
