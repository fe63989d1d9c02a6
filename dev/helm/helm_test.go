// Package helm_test renders the chart deploy/helm/ringback and holds it to Kubernetes'
// types and to what the rest of the repository says.
package helm_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/contrib/envconfig"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/strvals"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"ringback/internal/egress"
	"ringback/workflows"
)

var update = flag.Bool("update", false, "write the goldens anew")

const root = "../../"

// objects are what was rendered, by kind and name.
type objects map[string]any

// kinds are the types that each object is decoded to strictly. Those of CRDs have the
// fields that the chart writes (customresources_test.go).
var kinds = map[string]func() any{
	"v1/Service":                                  func() any { return &corev1.Service{} },
	"v1/ServiceAccount":                           func() any { return &corev1.ServiceAccount{} },
	"apps/v1/Deployment":                          func() any { return &appsv1.Deployment{} },
	"batch/v1/Job":                                func() any { return &batchv1.Job{} },
	"policy/v1/PodDisruptionBudget":               func() any { return &policyv1.PodDisruptionBudget{} },
	"autoscaling/v2/HorizontalPodAutoscaler":      func() any { return &autoscalingv2.HorizontalPodAutoscaler{} },
	"networking.k8s.io/v1/NetworkPolicy":          func() any { return &networkingv1.NetworkPolicy{} },
	"temporal.io/v1alpha1/Connection":             func() any { return &connection{} },
	"temporal.io/v1alpha1/WorkerDeployment":       func() any { return &workerDeployment{} },
	"temporal.io/v1alpha1/WorkerResourceTemplate": func() any { return &workerResourceTemplate{} },
	"monitoring.coreos.com/v1/ServiceMonitor":     func() any { return &serviceMonitor{} },
	"monitoring.coreos.com/v1/PrometheusRule":     func() any { return &prometheusRule{} },
}

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// needed are the values without a default.
const needed = "image: {repository: registry.example/ringback, tag: 1.0.0}\ntemporal: {address: temporal-frontend.temporal:7233}\n"

// render renders the chart as helm does at an install, the schema included.
func render(t *testing.T, values ...string) (string, error) {
	t.Helper()
	return renderRelease(t, "ringback", values...)
}

func renderRelease(t *testing.T, release string, values ...string) (string, error) {
	t.Helper()
	loaded, err := loader.Load(root + "deploy/helm/ringback")
	require.NoError(t, err)
	require.NoError(t, loaded.Validate())
	merged := map[string]any{}
	for _, text := range append([]string{needed}, values...) {
		given, err := chartutil.ReadValues([]byte(text))
		require.NoError(t, err)
		merged = chartutil.CoalesceTables(given, merged)
	}
	return renderChart(loaded, release, merged)
}

func renderFiles(loaded *chart.Chart, release string, values map[string]any) (map[string]string, error) {
	all, err := chartutil.ToRenderValues(loaded, values, chartutil.ReleaseOptions{Name: release, Namespace: "payments", IsInstall: true}, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.Render(loaded, all)
}

func renderChart(loaded *chart.Chart, release string, values map[string]any) (string, error) {
	files, err := renderFiles(loaded, release, values)
	if err != nil {
		return "", err
	}
	var documents []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if path.Ext(name) != ".yaml" {
			continue
		}
		for _, document := range regexp.MustCompile(`(?m)^---$`).Split(files[name], -1) {
			if text := strings.TrimSpace(document); text != "" {
				documents = append(documents, text+"\n")
			}
		}
	}
	return strings.Join(documents, "---\n"), nil
}

// decoded are the objects, each of which has only fields of its type.
func decoded(t *testing.T, rendered string) objects {
	t.Helper()
	all := objects{}
	for document := range strings.SplitSeq(rendered, "\n---\n") {
		var head struct {
			APIVersion, Kind string
			Metadata         struct{ Name string }
		}
		require.NoError(t, yaml.Unmarshal([]byte(document), &head), document)
		made, ok := kinds[head.APIVersion+"/"+head.Kind]
		require.Truef(t, ok, "no type of %s %s", head.APIVersion, head.Kind)
		object := made()
		require.NoErrorf(t, yaml.UnmarshalStrict([]byte(document), object), "%s", document)
		key := head.Kind + "/" + head.Metadata.Name
		require.NotContains(t, all, key, "two objects of one name")
		all[key] = object
	}
	return all
}

// get is the object of that kind and name.
func get[T any](t require.TestingT, all objects, key string) *T {
	require.Contains(t, slices.Collect(maps.Keys(all)), key)
	return all[key].(*T)
}

// pods are the pod templates of the programs, by name.
func (all objects) pods() map[string]corev1.PodTemplateSpec {
	pods := map[string]corev1.PodTemplateSpec{}
	for key, object := range all {
		switch o := object.(type) {
		case *appsv1.Deployment:
			pods[key] = o.Spec.Template
		case *workerDeployment:
			pods[key] = o.Spec.Template
		}
	}
	return pods
}

const (
	controller = "mode: controller\n"
	everything = `
config: {secrets: [ringback-files, {name: wsgate, items: [{key: tls.crt, path: wsgate.crt}]}], environment: [ringback-variables]}
autoscaling: {enabled: true}
networkPolicy: {enabled: true, egress: {allow: ["10.0.24.0/24:443"]}}
serviceMonitor: {enabled: true, apiKey: {name: prometheus}}
namespaceJob: {enabled: true}
`
)

func TestTheChartIsAsItWas(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]string{
		"deployments":            "",
		"controller":             controller,
		"deployments-everything": everything,
		"controller-everything":  controller + everything + "controller: {gate: {ping: SELF}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rendered, err := render(t, values)
			require.NoError(t, err)
			decoded(t, rendered)
			golden := "testdata/" + name + ".yaml"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(rendered), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), rendered, "go -C dev test ./helm -update writes the goldens anew")
		})
	}
}

func TestValuesBecomeWhatTheySay(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		values string
		check  func(t require.TestingT, all objects)
	}{
		"two deployments, a service, an account and two budgets by default": {"", func(t require.TestingT, all objects) {
			require.ElementsMatch(t, []string{"Deployment/ringback-api", "Deployment/ringback-worker", "Service/ringback", "ServiceAccount/ringback",
				"PodDisruptionBudget/ringback-api", "PodDisruptionBudget/ringback-worker"}, slices.Collect(maps.Keys(all)))
		}},
		"one worker deployment, its connection, a service, an account and a budget": {controller, func(t require.TestingT, all objects) {
			require.ElementsMatch(t, []string{"WorkerDeployment/ringback", "Connection/ringback", "Service/ringback", "ServiceAccount/ringback",
				"PodDisruptionBudget/ringback-api"}, slices.Collect(maps.Keys(all)))
		}},
		"the controller sets the variables of Temporal": {controller, func(t require.TestingT, all objects) {
			require.Empty(t, get[workerDeployment](t, all, "WorkerDeployment/ringback").Spec.Template.Spec.Containers[0].Env)
		}},
		"nothing is delivered after a restore": {"{api: {worker: false}, worker: {replicas: 0}}", func(t require.TestingT, all objects) {
			require.Contains(t, get[appsv1.Deployment](t, all, "Deployment/ringback-api").Spec.Template.Spec.Containers[0].Args, "-worker=false")
			require.Zero(t, *get[appsv1.Deployment](t, all, "Deployment/ringback-worker").Spec.Replicas)
		}},
		"nothing is delivered after a restore, with an autoscaler, too": {"{api: {worker: false}, worker: {replicas: 0}, autoscaling: {enabled: true}}", func(t require.TestingT, all objects) {
			require.NotNil(t, get[appsv1.Deployment](t, all, "Deployment/ringback-worker").Spec.Replicas)
			require.Zero(t, *get[appsv1.Deployment](t, all, "Deployment/ringback-worker").Spec.Replicas, "an autoscaler leaves 0 alone")
		}},
		"an image by its digest alone": {`image: {tag: "", digest: "` + digest + `"}`, func(t require.TestingT, all objects) {
			api := get[appsv1.Deployment](t, all, "Deployment/ringback-api")
			require.Equal(t, "registry.example/ringback@"+digest, api.Spec.Template.Spec.Containers[0].Image)
			require.NotContains(t, api.Labels, "app.kubernetes.io/version")
		}},
		"an image by its tag and its digest": {`image: {digest: "` + digest + `"}`, func(t require.TestingT, all objects) {
			api := get[appsv1.Deployment](t, all, "Deployment/ringback-api")
			require.Equal(t, "registry.example/ringback:1.0.0@"+digest, api.Spec.Template.Spec.Containers[0].Image)
			require.Equal(t, "1.0.0", api.Labels["app.kubernetes.io/version"])
		}},
		"a tag that is no label": {"image: {tag: _1.0.0-" + strings.Repeat("x", 55) + "-long}", func(t require.TestingT, all objects) {
			require.Equal(t, "1.0.0-"+strings.Repeat("x", 55), get[appsv1.Deployment](t, all, "Deployment/ringback-api").Labels["app.kubernetes.io/version"])
		}},
		"the gate without a ping": {controller, func(t require.TestingT, all objects) {
			w := get[workerDeployment](t, all, "WorkerDeployment/ringback")
			require.Equal(t, workflows.GateType, w.Spec.Rollout.Gate.WorkflowType)
			require.Nil(t, w.Spec.Rollout.Gate.Input, "a program with codec keys refuses what the controller does not seal")
			require.NotContains(t, strings.Join(w.Spec.Template.Spec.Containers[0].Args, " "), "gate-ping")
		}},
		"the gate with a ping": {controller + "controller: {gate: {ping: SELF}}", func(t require.TestingT, all objects) {
			require.Contains(t, get[workerDeployment](t, all, "WorkerDeployment/ringback").Spec.Template.Spec.Containers[0].Args, "-gate-ping=SELF")
		}},
		"no gate": {controller + "controller: {gate: {enabled: false, ping: SELF}}", func(t require.TestingT, all objects) {
			w := get[workerDeployment](t, all, "WorkerDeployment/ringback")
			require.Nil(t, w.Spec.Rollout.Gate)
			require.NotContains(t, strings.Join(w.Spec.Template.Spec.Containers[0].Args, " "), "gate-ping")
		}},
		"steps of a progressive rollout": {controller + "controller: {rollout: {strategy: Progressive, steps: [{rampPercentage: 5, pauseDuration: 10m}]}}", func(t require.TestingT, all objects) {
			require.Equal(t, []rolloutStep{{5, "10m"}}, get[workerDeployment](t, all, "WorkerDeployment/ringback").Spec.Rollout.Steps)
		}},
		"a client certificate and an authority for the controller": {controller + "temporal: {tls: {secret: client, caSecret: authority}}", func(t require.TestingT, all objects) {
			c := get[connection](t, all, "Connection/ringback")
			require.Equal(t, "client", c.Spec.MutualTLSSecretRef.Name)
			require.Nil(t, c.Spec.TLS.CACertSecretRef, "the CRD refuses both")
			pod := get[workerDeployment](t, all, "WorkerDeployment/ringback").Spec.Template.Spec
			require.Len(t, pod.Volumes, 2, "the controller mounts the client certificate")
		}},
		"an API key and a server's name for the controller": {controller + "temporal: {tls: {serverName: ringback.tmprl.cloud, caSecret: authority}, apiKey: {name: cloud}}", func(t require.TestingT, all objects) {
			c := get[connection](t, all, "Connection/ringback")
			require.Equal(t, &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "cloud"}, Key: "api-key"}, c.Spec.APIKeySecretRef)
			require.Equal(t, "ringback.tmprl.cloud", c.Spec.TLS.ServerName)
			require.Equal(t, "authority", c.Spec.TLS.CACertSecretRef.Name)
		}},
		"TLS alone, by the name in the address for the controller": {controller + "temporal: {tls: {enabled: true}}", func(t require.TestingT, all objects) {
			require.Equal(t, "temporal-frontend.temporal", get[connection](t, all, "Connection/ringback").Spec.TLS.ServerName)
		}},
		"secrets are files beside ringback.yml, in one folder": {"config: {configMap: mine, secrets: [a, b], environment: [c]}", func(t require.TestingT, all objects) {
			for name, pod := range all.pods() {
				sources := pod.Spec.Volumes[0].Projected.Sources
				require.Equal(t, "mine", sources[0].ConfigMap.Name, name)
				require.Equal(t, []string{"a", "b"}, []string{sources[1].Secret.Name, sources[2].Secret.Name})
				require.Equal(t, "c", pod.Spec.Containers[0].EnvFrom[0].SecretRef.Name)
			}
		}},
		"keys of a Secret are files by other names": {"config: {secrets: [a, {name: b, items: [{key: tls.crt, path: wsgate.crt}, {key: tls.key, path: wsgate.key}]}]}", func(t require.TestingT, all objects) {
			for name, pod := range all.pods() {
				sources := pod.Spec.Volumes[0].Projected.Sources
				require.Empty(t, sources[1].Secret.Items, name)
				require.Equal(t, &corev1.SecretProjection{
					LocalObjectReference: corev1.LocalObjectReference{Name: "b"},
					Items:                []corev1.KeyToPath{{Key: "tls.crt", Path: "wsgate.crt"}, {Key: "tls.key", Path: "wsgate.key"}},
				}, sources[2].Secret)
			}
		}},
		"an autoscaler of the workers": {"autoscaling: {enabled: true, backlogSeconds: 2.5}", func(t require.TestingT, all objects) {
			require.Nil(t, get[appsv1.Deployment](t, all, "Deployment/ringback-worker").Spec.Replicas)
			require.EqualValues(t, 2, *get[appsv1.Deployment](t, all, "Deployment/ringback-api").Spec.Replicas)
			h := get[autoscalingv2.HorizontalPodAutoscaler](t, all, "HorizontalPodAutoscaler/ringback-worker")
			require.Equal(t, autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "ringback-worker"}, h.Spec.ScaleTargetRef)
			require.EqualValues(t, 2500, h.Spec.Metrics[1].Pods.Target.AverageValue.MilliValue())
		}},
		"an autoscaler of each build": {controller + "autoscaling: {enabled: true}", func(t require.TestingT, all objects) {
			require.Nil(t, get[workerDeployment](t, all, "WorkerDeployment/ringback").Spec.Replicas)
			w := get[workerResourceTemplate](t, all, "WorkerResourceTemplate/ringback")
			require.Equal(t, "ringback", w.Spec.WorkerDeploymentRef.Name)
			require.Equal(t, "ringback_backlog_age_seconds", w.Spec.Template.Spec.Metrics[1].Pods.Metric.Name)
		}},
		"a network policy opens what egress.allow does": {`networkPolicy: {enabled: true, egress: {public: false, allow: ["10.0.24.0/24", "10.0.24.0/24:443", "fd00:1::/32", "[fd00:1::/32]:8443"]}}`, func(t require.TestingT, all objects) {
			rules := get[networkingv1.NetworkPolicy](t, all, "NetworkPolicy/ringback").Spec.Egress
			require.EqualValues(t, 7233, rules[1].Ports[0].Port.IntVal, "Temporal's")
			var opened []string
			for _, rule := range rules[2:] {
				network := egress.Network{}
				require.NoError(t, network.Prefix.UnmarshalText([]byte(rule.To[0].IPBlock.CIDR)))
				if len(rule.Ports) > 0 {
					network.Port = uint16(rule.Ports[0].Port.IntVal)
				}
				opened = append(opened, network.String())
			}
			require.Equal(t, []string{"10.0.24.0/24", "10.0.24.0/24:443", "fd00:1::/32", "[fd00:1::/32]:8443"}, opened)
		}},
		"who may call and scrape": {"networkPolicy: {enabled: true, apiFrom: [{namespaceSelector: {matchLabels: {team: core}}}], telemetryFrom: [{podSelector: {}}]}", func(t require.TestingT, all objects) {
			policy := get[networkingv1.NetworkPolicy](t, all, "NetworkPolicy/ringback").Spec
			require.Equal(t, map[string]string{"team": "core"}, policy.Ingress[0].From[0].NamespaceSelector.MatchLabels)
			require.NotNil(t, policy.Ingress[1].From[0].PodSelector)
			require.Len(t, policy.Egress[2].To, 2, "public addresses of both families")
		}},
		"the rules of the repository": {"prometheusRule: {enabled: true, labels: {release: prometheus}}", func(t require.TestingT, all objects) {
			var file ruleSpec
			require.NoError(t, yaml.UnmarshalStrict([]byte(read(t, "deploy/prometheus/alerts.yml")), &file))
			rule := get[prometheusRule](t, all, "PrometheusRule/ringback")
			require.Equal(t, file, rule.Spec)
			require.Equal(t, "prometheus", rule.Labels["release"])
		}},
		"a scrape with a key, by TLS": {"serviceMonitor: {enabled: true, apiKey: {name: prometheus}, tlsConfig: {serverName: ringback.example, ca: {secret: {name: authority, key: ca.crt}}}}\nprobes: {scheme: HTTPS}", func(t require.TestingT, all objects) {
			endpoint := get[serviceMonitor](t, all, "ServiceMonitor/ringback").Spec.Endpoints[0]
			require.Equal(t, "https", endpoint.Scheme)
			require.Equal(t, "ringback.example", endpoint.TLSConfig.ServerName, "a pod's address is in no certificate")
			require.Equal(t, "authority", endpoint.TLSConfig.CA.Secret.Name)
			require.Equal(t, "prometheus", endpoint.Authorization.Credentials.Name)
			require.Equal(t, get[corev1.Service](t, all, "Service/ringback-telemetry").Spec.Ports[0].Name, endpoint.Port)
		}},
		"where the pods may run, the job's, too": {"image: {pullSecrets: [registry]}\nnodeSelector: {disk: fast}\ntolerations: [{key: payments, operator: Exists}]\npriorityClassName: high\nnamespaceJob: {enabled: true}", func(t require.TestingT, all objects) {
			pods := all.pods()
			pods["the job"] = get[batchv1.Job](t, all, "Job/ringback-namespace").Spec.Template
			for name, pod := range pods {
				require.Equal(t, []corev1.LocalObjectReference{{Name: "registry"}}, pod.Spec.ImagePullSecrets, name)
				require.Equal(t, map[string]string{"disk": "fast"}, pod.Spec.NodeSelector, name)
				require.Equal(t, []corev1.Toleration{{Key: "payments", Operator: "Exists"}}, pod.Spec.Tolerations, name)
				require.Equal(t, "high", pod.Spec.PriorityClassName, name)
			}
		}},
		"what else is in the pods, as Kubernetes names it": {besides, requireBesides},
		"what else is in the pods of each build":           {controller + besides, requireBesides},
		"who the programs are for the cloud": {"serviceAccount: {annotations: {eks.amazonaws.com/role-arn: ringback}}", func(t require.TestingT, all objects) {
			require.Equal(t, map[string]string{"eks.amazonaws.com/role-arn": "ringback"}, get[corev1.ServiceAccount](t, all, "ServiceAccount/ringback").Annotations)
		}},
		"what a quota asks of the job": {"namespaceJob: {enabled: true, resources: {limits: {cpu: 1}}}", func(t require.TestingT, all objects) {
			resources := get[batchv1.Job](t, all, "Job/ringback-namespace").Spec.Template.Spec.Containers[0].Resources
			require.Equal(t, "1", resources.Limits.Cpu().String())
			for _, quantity := range []*resource.Quantity{resources.Requests.Cpu(), resources.Requests.Memory(), resources.Limits.Memory()} {
				require.False(t, quantity.IsZero())
			}
		}},
		"pods with labels and annotations, anywhere": {"topologySpread: []\npodLabels: {team: pay}\npodAnnotations: {a: b}", func(t require.TestingT, all objects) {
			for _, pod := range all.pods() {
				require.Empty(t, pod.Spec.TopologySpreadConstraints)
				require.Equal(t, "pay", pod.Labels["team"])
				require.Equal(t, "b", pod.Annotations["a"])
			}
		}},
		"a service of another kind": {"api: {service: {type: LoadBalancer, port: 80, annotations: {internal: \"true\"}}, uiURL: \"https://temporal.example\"}", func(t require.TestingT, all objects) {
			service := get[corev1.Service](t, all, "Service/ringback")
			require.Equal(t, corev1.ServiceTypeLoadBalancer, service.Spec.Type)
			require.EqualValues(t, 80, service.Spec.Ports[0].Port)
			pod := get[appsv1.Deployment](t, all, "Deployment/ringback-api").Spec.Template.Spec
			require.Contains(t, pod.Containers[0].Args, "-ui-url=https://temporal.example")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rendered, err := render(t, tt.values)
			require.NoError(t, err)
			tt.check(t, decoded(t, rendered))
		})
	}
}

const besides = `
initContainers: [{name: mesh, image: registry.example/mesh, restartPolicy: Always}]
volumes: [{name: vault, csi: {driver: secrets-store.csi.k8s.io, readOnly: true}}]
volumeMounts: [{name: vault, mountPath: /etc/vault, readOnly: true}]
affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: disk, operator: Exists}]}]}}}
`

func requireBesides(t require.TestingT, all objects) {
	for name, pod := range all.pods() {
		require.Equal(t, "mesh", pod.Spec.InitContainers[0].Name, name)
		require.Equal(t, corev1.ContainerRestartPolicyAlways, *pod.Spec.InitContainers[0].RestartPolicy, name)
		require.Equal(t, "vault", pod.Spec.Volumes[len(pod.Spec.Volumes)-1].Name, name)
		require.Contains(t, pod.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "vault", MountPath: "/etc/vault", ReadOnly: true}, name)
		require.NotNil(t, pod.Spec.Affinity.NodeAffinity, name)
	}
}

// TestTheProxyOfThePageIsBesideEachProgram renders the values of docs/deploy/temporal.md.
func TestTheProxyOfThePageIsBesideEachProgram(t *testing.T) {
	t.Parallel()
	page := "docs/deploy/temporal.md"
	rendered, err := render(t, found(t, page, "(?s)```yaml\n(# values.yaml\n.*?)```"))
	require.NoError(t, err)
	pods := decoded(t, rendered).pods()
	require.Len(t, pods, 2)
	for name, pod := range pods {
		set := lookup(variables(pod.Spec.Containers[0]))
		require.Equal(t, found(t, page, `(?m)^hostPort: (\S+)`), set["TEMPORAL_ADDRESS"], name)
		require.False(t, usesTLS(t, set), name)
		proxy := pod.Spec.InitContainers[0]
		require.Equal(t, corev1.ContainerRestartPolicyAlways, *proxy.RestartPolicy, "kubelet would wait for its end before the program, and not let it outlive that")
		require.True(t, slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == proxy.VolumeMounts[0].Name }))
		require.False(t, proxy.Resources.Requests.Cpu().IsZero(), "the autoscaler needs that of every container")
	}
}

func TestABadValueIsNamed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ values, says string }{
		"no image":                            {`image: {repository: ""}`, "image.repository is required: where the image was pushed to"},
		"no tag":                              {`image: {tag: ""}`, "image.tag or image.digest is required: that of the image"},
		"a tag that is a number":              {`image: {tag: 1.2}`, "/image/tag"},
		"no address of Temporal":              {`temporal: {address: ""}`, "temporal.address is required: host:port of Temporal's frontend"},
		"an address without a port":           {`temporal: {address: temporal}`, "/temporal/address"},
		"another mode":                        {`mode: statefulset`, "/mode"},
		"a value that is not one":             {`replicas: 3`, "replicas"},
		"a value that is mistyped":            {`api: {replica: 3}`, "replica"},
		"a name that Kubernetes refuses":      {`config: {configMap: My_Config}`, "/config/configMap"},
		"a progressive rollout without steps": {controller + `controller: {rollout: {strategy: Progressive}}`, "/controller/rollout/steps"},
		"steps of a rollout all at once":      {controller + `controller: {rollout: {steps: [{rampPercentage: 5, pauseDuration: 10m}]}}`, "/controller/rollout/steps"},
		"a sunset that is a number":           {controller + `controller: {sunset: {scaledownDelay: 25}}`, "/controller/sunset/scaledownDelay"},
		"an endpoint that can't be one":       {controller + `controller: {gate: {ping: "MY SHOP"}}`, "/controller/gate/ping"},
		"a network without its bits":          {`networkPolicy: {egress: {allow: [10.0.0.1]}}`, "/networkPolicy/egress/allow/0"},
		"a stop that kills attempts at once":  {`terminationGracePeriodSeconds: 5`, "/terminationGracePeriodSeconds"},
		"a backlog of nothing":                {`autoscaling: {backlogSeconds: 0}`, "/autoscaling/backlogSeconds"},
		"a budget of nothing":                 {`podDisruptionBudget: {maxUnavailable: 0}`, "/podDisruptionBudget/maxUnavailable"},
		"a scheme in small letters":           {`probes: {scheme: https}`, "/probes/scheme"},

		"a digest in the repository":              {`image: {repository: "registry.example/ringback@` + digest + `"}`, "/image/repository"},
		"a tag in the repository":                 {`image: {repository: registry.example/ringback:1.0.0}`, "/image/repository"},
		"half a digest":                           {`image: {digest: "sha256:12"}`, "/image/digest"},
		"fewer replicas at most than at least":    {`autoscaling: {enabled: true, minReplicas: 20}`, "autoscaling.minReplicas"},
		"a name with two dots":                    {`config: {secrets: [a..b]}`, "/config/secrets/0"},
		"a Secret without a name":                 {`config: {secrets: [{items: [{key: tls.crt, path: a.crt}]}]}`, "/config/secrets/0"},
		"a Secret whose items are mistyped":       {`config: {secrets: [{name: a, item: [{key: tls.crt, path: a.crt}]}]}`, "/config/secrets/0"},
		"a key of a Secret without a file":        {`config: {secrets: [{name: a, items: [{key: tls.crt}]}]}`, "/config/secrets/0"},
		"a file outside of the folder":            {`config: {secrets: [{name: a, items: [{key: tls.crt, path: ../a.crt}]}]}`, "/config/secrets/0"},
		"keys of a Secret that are variables":     {`config: {environment: [{name: a, items: [{key: tls.crt, path: a.crt}]}]}`, "/config/environment/0"},
		"a port that is none":                     {`temporal: {address: "temporal:70000"}`, "/temporal/address"},
		"a network that is none":                  {`networkPolicy: {egress: {allow: [10.0.0.256/32]}}`, "/networkPolicy/egress/allow/0"},
		"a peer's network without its bits":       {`networkPolicy: {apiFrom: [{ipBlock: {cidr: 10.0.0.1}}]}`, "/networkPolicy/apiFrom/0/ipBlock/cidr"},
		"a peer by mistyped labels":               {`networkPolicy: {telemetryFrom: [{namespaceSelector: {matchLabel: {a: b}}}]}`, "/networkPolicy/telemetryFrom/0/namespaceSelector"},
		"a port of a network that is none":        {`networkPolicy: {egress: {allow: ["10.0.0.0/8:65536"]}}`, "/networkPolicy/egress/allow/0"},
		"too many bits":                           {`networkPolicy: {egress: {allow: [10.0.0.0/33]}}`, "/networkPolicy/egress/allow/0"},
		"a peer that is nobody":                   {`networkPolicy: {apiFrom: [{}]}`, "/networkPolicy/apiFrom/0"},
		"a peer that is an address and pods":      {`networkPolicy: {temporalTo: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}`, "/networkPolicy/temporalTo/0"},
		"a peer by a mistyped address":            {`networkPolicy: {telemetryFrom: [{ipBlock: {crid: 10.0.0.0/8}}]}`, "/networkPolicy/telemetryFrom/0/ipBlock"},
		"a label that is a sentence":              {`podLabels: {team: the payments team}`, "/podLabels/team"},
		"a label's name that is none":             {`podLabels: {"a b": c}`, "/podLabels"},
		"a label that the Service selects by":     {`podLabels: {app.kubernetes.io/name: mine}`, "/podLabels"},
		"an annotation's name that is none":       {`podAnnotations: {"a b": c}`, "/podAnnotations"},
		"a topology twice":                        {`topologySpread: [{topologyKey: zone, whenUnsatisfiable: DoNotSchedule}, {topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]`, "/topologySpread"},
		"a toleration of an effect that is none":  {`tolerations: [{effect: NoSchedul}]`, "/tolerations/0/effect"},
		"a toleration that is mistyped":           {`tolerations: [{efect: NoSchedule}]`, "/tolerations/0"},
		"a container without an image":            {`initContainers: [{name: proxy}]`, "/initContainers/0"},
		"a volume without a name":                 {`volumes: [{emptyDir: {}}]`, "/volumes/0"},
		"a volume of the chart's own name":        {`volumes: [{name: config, emptyDir: {}}]`, "/volumes/0/name"},
		"a mount without a path":                  {`volumeMounts: [{name: vault}]`, "/volumeMounts/0"},
		"an affinity that is mistyped":            {`affinity: {nodeAfinity: {}}`, "/affinity"},
		"a quantity that is none":                 {`api: {resources: {requests: {memory: 1GB}}}`, "/api/resources/requests/memory"},
		"resources that are mistyped":             {`worker: {resources: {request: {memory: 1Gi}}}`, "/worker/resources"},
		"an interval that Prometheus refuses":     {`serviceMonitor: {interval: 30s1m}`, "/serviceMonitor/interval"},
		"an interval of nothing":                  {`serviceMonitor: {interval: 0s}`, "/serviceMonitor/interval"},
		"a retention of nothing":                  {`namespaceJob: {retention: 0d}`, "/namespaceJob/retention"},
		"a share that falls":                      {controller + `controller: {rollout: {strategy: Progressive, steps: [{rampPercentage: 50, pauseDuration: 1m}, {rampPercentage: 5, pauseDuration: 1m}]}}`, "controller.rollout.steps"},
		"an address that the controller refuses":  {controller + `temporal: {address: "[fd00::5]:7233"}`, "/temporal/address"},
		"a pause that the controller refuses":     {controller + `controller: {rollout: {strategy: Progressive, steps: [{rampPercentage: 5, pauseDuration: 29s}]}}`, "/controller/rollout/steps/0/pauseDuration"},
		"a Secret that the controller refuses":    {controller + `temporal: {tls: {secret: client.tls}}`, "/temporal/tls/secret"},
		"two credentials for the controller":      {controller + `temporal: {tls: {secret: client}, apiKey: {name: cloud}}`, "temporal.apiKey"},
		"an api without a worker, by controller":  {controller + `api: {worker: false}`, "api.worker"},
		"a stop whose seconds would be rewritten": {`terminationGracePeriodSeconds: 1000000`, "/terminationGracePeriodSeconds"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := render(t, tt.values)
			require.ErrorContains(t, err, tt.says)
		})
	}
}

// TestTheChartLintsWithoutValues renders as helm lint does, which only shows what is required.
func TestTheChartLintsWithoutValues(t *testing.T) {
	t.Parallel()
	loaded, err := loader.Load(root + "deploy/helm/ringback")
	require.NoError(t, err)
	for _, values := range []map[string]any{{}, {"mode": "controller"}} {
		all, err := chartutil.ToRenderValues(loaded, values, chartutil.ReleaseOptions{Name: "ringback", Namespace: "payments"}, chartutil.DefaultCapabilities)
		require.NoError(t, err)
		_, err = engine.Engine{Strict: true, LintMode: true}.Render(loaded, all)
		require.NoError(t, err)
	}
}

func TestTheNotesNameTheSchemeOfTheAPI(t *testing.T) {
	t.Parallel()
	for values, scheme := range map[string]string{"": "http", "probes: {scheme: HTTPS}": "https"} {
		loaded, err := loader.Load(root + "deploy/helm/ringback")
		require.NoError(t, err)
		given, err := chartutil.ReadValues([]byte(needed + values))
		require.NoError(t, err)
		files, err := renderFiles(loaded, "ringback", given)
		require.NoError(t, err)
		require.Contains(t, files["ringback/templates/NOTES.txt"], "The API is "+scheme+"://ringback.payments:8080.")
	}
}

func TestAFileThatTheChartLostIsNamed(t *testing.T) {
	t.Parallel()
	for file, values := range map[string]string{
		"files/alerts.yml":   needed + "prometheusRule: {enabled: true}",
		"files/namespace.sh": needed + "namespaceJob: {enabled: true}",
	} {
		for _, left := range []string{"", "../../../" + path.Base(file)} { // a link as git has it without core.symlinks
			loaded, err := loader.Load(root + "deploy/helm/ringback")
			require.NoError(t, err)
			for _, f := range loaded.Files {
				if f.Name == file {
					f.Data = []byte(left)
				}
			}
			given, err := chartutil.ReadValues([]byte(values))
			require.NoError(t, err)
			_, err = renderChart(loaded, "ringback", given)
			require.ErrorContains(t, err, file+" of the chart is empty or only names a link")
		}
	}
}

// TestWhatThePageSetsIsTaken gives the chart each --set of the documents as helm would.
func TestWhatThePageSetsIsTaken(t *testing.T) {
	t.Parallel()
	loaded, err := loader.Load(root + "deploy/helm/ringback")
	require.NoError(t, err)
	parse := map[string]func(string, map[string]any) error{"--set": strvals.ParseInto, "--set-string": strvals.ParseIntoString}
	seen := 0
	for _, page := range []string{"docs/deploy/kubernetes.md", "docs/operations/backups-and-time.md", "docs/operations/upgrade.md"} {
		for _, set := range regexp.MustCompile("(--set(?:-string)?) ([^\\s`]+)").FindAllStringSubmatch(read(t, page), -1) {
			values, err := chartutil.ReadValues([]byte(needed))
			require.NoError(t, err)
			require.NoError(t, parse[set[1]](set[2], values))
			_, err = renderChart(loaded, "ringback", values)
			require.NoError(t, err, set[0])
			seen++
		}
	}
	require.Greater(t, seen, 4)
}

func TestTheChartNamesTheLatestRelease(t *testing.T) {
	t.Parallel()
	require.Equal(t, found(t, "CHANGELOG.md", `(?m)^## \[(\d\S+)\]`), found(t, "deploy/helm/ringback/Chart.yaml", `(?m)^appVersion: "(.*)"`))
}

func TestReplicasOfNothingStopAll(t *testing.T) {
	t.Parallel()
	for _, values := range []string{"", controller, "autoscaling: {enabled: true}\n", controller + "autoscaling: {enabled: true}\n"} {
		rendered, err := render(t, values, "{api: {replicas: 0}, worker: {replicas: 0}}")
		require.NoError(t, err)
		require.NotRegexp(t, `(?m)^  replicas: [1-9]`, rendered)
		require.Regexp(t, `(?m)^  replicas: 0$`, rendered)
	}
}

// TestTheNamespaceJobCallsByItsOwnRights holds that the programs need no right to make namespaces.
func TestTheNamespaceJobCallsByItsOwnRights(t *testing.T) {
	t.Parallel()
	own := "namespaceJob: {enabled: true, apiKey: {name: admin, key: token}, tlsSecret: admin-tls}\n"
	rendered, err := render(t, own, "temporal: {apiKey: {name: programs}, tls: {secret: programs-tls, serverName: temporal}}")
	require.NoError(t, err)
	all := decoded(t, rendered)
	job := get[batchv1.Job](t, all, "Job/ringback-namespace").Spec.Template.Spec
	require.Equal(t, &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "admin"}, Key: "token"}, apiKey(t, job))
	require.Equal(t, "admin-tls", job.Volumes[0].Secret.SecretName)
	require.Equal(t, "temporal", variables(job.Containers[0])["TEMPORAL_TLS_SERVER_NAME"])
	for _, pod := range all.pods() {
		require.Equal(t, "programs", apiKey(t, pod.Spec).Name)
		require.Equal(t, "programs-tls", pod.Spec.Volumes[1].Secret.SecretName)
	}
}

func apiKey(t *testing.T, pod corev1.PodSpec) *corev1.SecretKeySelector {
	t.Helper()
	at := slices.IndexFunc(pod.Containers[0].Env, func(v corev1.EnvVar) bool { return v.Name == "TEMPORAL_API_KEY" })
	require.GreaterOrEqual(t, at, 0)
	return pod.Containers[0].Env[at].ValueFrom.SecretKeyRef
}

func TestEveryReleaseHasNamesThatKubernetesTakes(t *testing.T) {
	t.Parallel()
	for release, name := range map[string]string{
		"ringback":                             "ringback",
		"true":                                 "true-ringback",
		"shop.payments":                        "shop-payments-ringback",
		"ringbacks" + strings.Repeat("-a", 20): "ringbacks" + strings.Repeat("-a", 15),
	} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			rendered, err := renderRelease(t, release)
			require.NoError(t, err)
			service := get[corev1.Service](t, decoded(t, rendered), "Service/"+name)
			require.Equal(t, release, service.Spec.Selector["app.kubernetes.io/instance"])
		})
	}
	_, err := renderRelease(t, "2026")
	require.ErrorContains(t, err, "release 2026")
}

// TestAStringThatLooksLikeANumberStaysAString gives 123 to each value that may be a string.
func TestAStringThatLooksLikeANumberStaysAString(t *testing.T) {
	t.Parallel()
	loaded, err := loader.Load(root + "deploy/helm/ringback")
	require.NoError(t, err)
	for name, mode := range map[string]string{
		"deployments":                          everything + "temporal: {tls: {secret: client, caSecret: authority}, apiKey: {name: cloud}}",
		"controller with a client certificate": controller + everything + "temporal: {tls: {secret: client}}",
		"controller with an API key":           controller + everything + "temporal: {tls: {caSecret: authority}, apiKey: {name: cloud}}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			taken := 0
			for _, values := range likeNumbers(loaded.Values) {
				text, err := yaml.Marshal(values)
				require.NoError(t, err)
				rendered, err := render(t, mode, string(text))
				if err != nil {
					continue // a value that may not be 123
				}
				decoded(t, rendered)
				taken++
			}
			require.Greater(t, taken, 25)
		})
	}
}

// likeNumbers are the values with one of them each, to which 123 was given.
func likeNumbers(values map[string]any) (all []map[string]any) {
	for name, value := range values {
		switch value := value.(type) {
		case string:
			all = append(all, map[string]any{name: "123"})
		case []any:
			all = append(all, map[string]any{name: []any{"123"}})
		case map[string]any:
			if len(value) == 0 {
				all = append(all, map[string]any{name: map[string]any{"serverName": "123"}})
			}
			for _, inner := range likeNumbers(value) {
				all = append(all, map[string]any{name: inner})
			}
		}
	}
	return all
}

func read(t require.TestingT, file string) string {
	content, err := os.ReadFile(root + file)
	require.NoError(t, err)
	return string(content)
}

// found is the first group of a pattern in a file of the repository.
func found(t *testing.T, file, pattern string) string {
	t.Helper()
	groups := regexp.MustCompile(pattern).FindStringSubmatch(read(t, file))
	require.NotNilf(t, groups, "%s has no %s", file, pattern)
	return groups[1]
}

func TestEveryPodIsAsTheRepositorySays(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"", controller + "controller: {gate: {ping: SELF}}\n"} {
		rendered, err := render(t, mode, "namespaceJob: {enabled: true}")
		require.NoError(t, err)
		all := decoded(t, rendered)
		for name, pod := range all.pods() {
			requireConfined(t, pod.Spec)
			container := pod.Spec.Containers[0]
			grace := *pod.Spec.TerminationGracePeriodSeconds
			if container.Lifecycle != nil {
				grace -= container.Lifecycle.PreStop.Sleep.Seconds
			}
			require.Equal(t, found(t, "docker-compose.yml", `stop_grace_period: (150s)`), fmt.Sprintf("%ds", grace))
			require.Contains(t, container.Args, "-config="+found(t, "Dockerfile", `"-config", "([^"]+)"`))
			exposed := strings.Fields(found(t, "Dockerfile", `EXPOSE (.*)`))
			for _, port := range container.Ports {
				require.Contains(t, exposed, fmt.Sprint(port.ContainerPort), name)
			}
			for _, argument := range container.Args {
				flagName, _, _ := strings.Cut(strings.TrimPrefix(argument, "-"), "=")
				require.Containsf(t, read(t, "internal/app/command.go"), `"`+flagName+`", `, "%s: no such flag", name)
			}
			for _, probe := range []*corev1.Probe{container.StartupProbe, container.LivenessProbe, container.ReadinessProbe} {
				require.Contains(t, read(t, "api/rest/probes.go"), `"`+probe.HTTPGet.Path+`"`)
			}
			require.Equal(t, "/"+container.Name, container.Command[0])
			require.Contains(t, read(t, "Dockerfile"), container.Command[0]+" ")
		}
		job := get[batchv1.Job](t, all, "Job/ringback-namespace").Spec.Template.Spec
		requireConfined(t, job)
		require.Equal(t, found(t, "docker-compose.yml", `(temporalio/admin-tools:\S+)`), job.Containers[0].Image)
		require.Equal(t, strings.TrimSpace(read(t, "deploy/namespace.sh")), strings.TrimSpace(job.Containers[0].Args[0]))
		var attributes []string
		for _, key := range workflows.Attributes {
			attributes = append(attributes, key.GetName()+"="+key.GetValueType().String())
		}
		require.Equal(t, strings.Join(attributes, " "), variables(job.Containers[0])["SEARCH_ATTRIBUTES"])
	}
}

// requireConfined holds what no pod may do.
func requireConfined(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	require.False(t, *pod.AutomountServiceAccountToken)
	s := pod.SecurityContext
	require.True(t, *s.RunAsNonRoot)
	require.Equal(t, found(t, "Dockerfile", `USER (\S+)`), fmt.Sprintf("%d:%d", *s.RunAsUser, *s.RunAsGroup))
	require.Equal(t, *s.RunAsGroup, *s.FSGroup)
	require.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, s.SeccompProfile.Type)
	for _, c := range pod.Containers {
		require.True(t, *c.SecurityContext.ReadOnlyRootFilesystem)
		require.False(t, *c.SecurityContext.AllowPrivilegeEscalation)
		require.Equal(t, []corev1.Capability{"ALL"}, c.SecurityContext.Capabilities.Drop)
		for _, mount := range c.VolumeMounts {
			require.Empty(t, mount.SubPath, "kubelet never changes it")
			require.True(t, mount.ReadOnly)
		}
	}
}

func variables(c corev1.Container) map[string]string {
	set := map[string]string{}
	for _, v := range c.Env {
		set[v.Name] = v.Value
	}
	return set
}

// lookup has the variables of a pod, as if they were this process's.
type lookup map[string]string

// LookupEnv implements [envconfig.EnvLookup].
func (l lookup) LookupEnv(name string) (string, bool) { value, ok := l[name]; return value, ok }

// Environ implements [envconfig.EnvLookup].
func (l lookup) Environ() (all []string) {
	for name, value := range l {
		all = append(all, name+"="+value)
	}
	return all
}

func TestTheVariablesOfTemporalAreThoseThatTheProgramsRead(t *testing.T) {
	t.Parallel()
	rendered, err := render(t, "temporal: {namespace: pay, tls: {secret: client, caSecret: authority, serverName: temporal.example}, apiKey: {name: cloud}}")
	require.NoError(t, err)
	for name, pod := range decoded(t, rendered).pods() {
		container := pod.Spec.Containers[0]
		set := lookup(variables(container))
		set["TEMPORAL_API_KEY"] = "of the secret"
		profile, err := envconfig.LoadClientConfigProfile(envconfig.LoadClientConfigProfileOptions{DisableFile: true, EnvLookup: set})
		require.NoError(t, err)
		require.Equal(t, "temporal-frontend.temporal:7233", profile.Address, name)
		require.Equal(t, "pay", profile.Namespace)
		require.Equal(t, "of the secret", profile.APIKey)
		require.Equal(t, "temporal.example", profile.TLS.ServerName)
		mounted := map[string]bool{}
		for _, mount := range container.VolumeMounts {
			mounted[mount.MountPath] = true
		}
		for _, file := range []string{profile.TLS.ClientCertPath, profile.TLS.ClientKeyPath, profile.TLS.ServerCACertPath} {
			require.Truef(t, mounted[path.Dir(file)], "%q is in no volume", file)
		}
	}
}

// TestWhatSwitchesTLSOnSwitchesItOnEverywhere holds the controller itself, the pods of
// both modes and the job to one answer.
func TestWhatSwitchesTLSOnSwitchesItOnEverywhere(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"deployments", "controller"} {
		for values, on := range map[string]bool{
			"{}":                                    false,
			"{tls: {enabled: true}}":                true,
			"{tls: {secret: client}}":               true,
			"{tls: {caSecret: authority}}":          true,
			"{tls: {serverName: temporal.example}}": true,
			"{apiKey: {name: cloud}}":               true,
		} {
			t.Run(mode+" "+values, func(t *testing.T) {
				t.Parallel()
				rendered, err := render(t, "mode: "+mode+"\nnamespaceJob: {enabled: true}\ntemporal: "+values)
				require.NoError(t, err)
				all := decoded(t, rendered)
				fromController := map[string]string{}
				if mode == "controller" {
					c := get[connection](t, all, "Connection/ringback")
					require.Equal(t, on, c.usesTLS(), "the controller")
					fromController = c.variables()
				}
				for name, pod := range all.pods() {
					set := variables(pod.Spec.Containers[0])
					maps.Copy(set, fromController)
					require.Equal(t, on, usesTLS(t, set), name)
				}
				require.Equal(t, on, usesTLS(t, variables(get[batchv1.Job](t, all, "Job/ringback-namespace").Spec.Template.Spec.Containers[0])), "the job")
			})
		}
	}
}

// usesTLS reports whether a program with these variables, or the temporal command, does.
func usesTLS(t *testing.T, set lookup) bool {
	t.Helper()
	profile, err := envconfig.LoadClientConfigProfile(envconfig.LoadClientConfigProfileOptions{DisableFile: true, EnvLookup: set})
	require.NoError(t, err)
	_, key := set["TEMPORAL_API_KEY"]
	return profile.TLS != nil || key
}

func TestABuildOutlivesItsPinnedRuns(t *testing.T) {
	t.Parallel()
	rendered, err := render(t, controller)
	require.NoError(t, err)
	sunset := get[workerDeployment](t, decoded(t, rendered), "WorkerDeployment/ringback").Spec.Sunset
	scaledown, err := time.ParseDuration(sunset.ScaledownDelay)
	require.NoError(t, err)
	deletion, err := time.ParseDuration(sunset.DeleteDelay)
	require.NoError(t, err)
	require.Greater(t, scaledown, workflows.PinnedAtMost)
	require.Greater(t, deletion, scaledown)
}
