package app

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/worker"

	"ringback/internal/service"
)

// The variables that Temporal's worker controller sets for a versioned worker.
const (
	deploymentVariable = "TEMPORAL_DEPLOYMENT_NAME"
	buildVariable      = "TEMPORAL_WORKER_BUILD_ID"
)

// buildFrom reads both variables; neither: the program is not versioned.
func buildFrom(variable func(string) string) (service.Build, error) {
	build := service.Build{Deployment: variable(deploymentVariable), ID: variable(buildVariable)}
	switch {
	case (build.Deployment == "") != (build.ID == ""):
		return service.Build{}, fmt.Errorf("%s=%q and %s=%q: set both, or neither for a program that is not versioned",
			deploymentVariable, build.Deployment, buildVariable, build.ID)
	case strings.ContainsAny(build.Deployment, ".:"):
		return service.Build{}, fmt.Errorf("%s=%q: Temporal takes no name with a dot or a colon", deploymentVariable, build.Deployment)
	case strings.HasPrefix(build.Deployment, "__") || strings.HasPrefix(build.ID, "__"):
		return service.Build{}, fmt.Errorf("%s=%q and %s=%q: names that begin with __ are Temporal's own",
			deploymentVariable, build.Deployment, buildVariable, build.ID)
	}
	return build, nil
}

func deploymentOptions(b service.Build) worker.DeploymentOptions {
	if !b.Versioned() {
		return worker.DeploymentOptions{}
	}
	return worker.DeploymentOptions{
		UseVersioning: true,
		Version:       worker.WorkerDeploymentVersion{DeploymentName: b.Deployment, BuildID: b.ID},
	}
}
