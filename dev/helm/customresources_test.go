package helm_test

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The fields of the custom resources that the chart writes, after the CRDs of
// temporalio/temporal-worker-controller (v1alpha1, chart 0.28 of its CRDs) and of the
// Prometheus operator (v1).

type object struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
}

type reference struct {
	Name string `json:"name"`
}

type connection struct {
	object
	Spec struct {
		HostPort string `json:"hostPort"`
		TLS      *struct {
			ServerName      string     `json:"serverName,omitempty"`
			CACertSecretRef *reference `json:"caCertSecretRef,omitempty"`
		} `json:"tls,omitempty"`
		MutualTLSSecretRef *reference                `json:"mutualTLSSecretRef,omitempty"`
		APIKeySecretRef    *corev1.SecretKeySelector `json:"apiKeySecretRef,omitempty"`
	} `json:"spec"`
}

// usesTLS reports whether the controller itself connects to Temporal by TLS.
func (c *connection) usesTLS() bool {
	s := c.Spec
	return s.MutualTLSSecretRef != nil || s.APIKeySecretRef != nil || s.TLS != nil && (s.TLS.ServerName != "" || s.TLS.CACertSecretRef != nil)
}

// variables are those of TLS that the controller sets in each pod, after its own source.
// It gives no pod the authority, and takes TEMPORAL_TLS from pods without a client certificate.
func (c *connection) variables() map[string]string {
	set := map[string]string{}
	if c.Spec.TLS != nil && c.Spec.TLS.ServerName != "" {
		set["TEMPORAL_TLS_SERVER_NAME"] = c.Spec.TLS.ServerName
	}
	if c.Spec.MutualTLSSecretRef != nil {
		set["TEMPORAL_TLS"] = "true"
	}
	if c.Spec.APIKeySecretRef != nil {
		set["TEMPORAL_API_KEY"] = "of the secret"
	}
	return set
}

type workerDeployment struct {
	object
	Spec struct {
		Replicas      *int32                 `json:"replicas,omitempty"`
		Template      corev1.PodTemplateSpec `json:"template"`
		WorkerOptions struct {
			ConnectionRef     reference `json:"connectionRef"`
			TemporalNamespace string    `json:"temporalNamespace"`
		} `json:"workerOptions"`
		Rollout struct {
			Strategy string        `json:"strategy"`
			Steps    []rolloutStep `json:"steps,omitempty"`
			Gate     *struct {
				WorkflowType string `json:"workflowType"`
				Input        any    `json:"input,omitempty"`
			} `json:"gate,omitempty"`
		} `json:"rollout"`
		Sunset struct {
			ScaledownDelay string `json:"scaledownDelay"`
			DeleteDelay    string `json:"deleteDelay"`
		} `json:"sunset"`
	} `json:"spec"`
}

type rolloutStep struct {
	RampPercentage int    `json:"rampPercentage"`
	PauseDuration  string `json:"pauseDuration"`
}

// workerResourceTemplate is of an autoscaler for each build. The controller fills in what
// it scales.
type workerResourceTemplate struct {
	object
	Spec struct {
		WorkerDeploymentRef reference `json:"workerDeploymentRef"`
		Template            struct {
			metav1.TypeMeta `json:",inline"`
			Spec            autoscalingv2.HorizontalPodAutoscalerSpec `json:"spec"`
		} `json:"template"`
	} `json:"spec"`
}

type serviceMonitor struct {
	object
	Spec struct {
		Selector  metav1.LabelSelector `json:"selector"`
		Endpoints []struct {
			Port          string `json:"port"`
			Scheme        string `json:"scheme"`
			Interval      string `json:"interval"`
			Authorization *struct {
				Credentials corev1.SecretKeySelector `json:"credentials"`
			} `json:"authorization,omitempty"`
			TLSConfig *struct {
				ServerName string `json:"serverName"`
				CA         struct {
					Secret *corev1.SecretKeySelector `json:"secret,omitempty"`
				} `json:"ca"`
			} `json:"tlsConfig,omitempty"`
			Relabelings []struct {
				Action       string   `json:"action,omitempty"`
				SourceLabels []string `json:"sourceLabels,omitempty"`
				Regex        string   `json:"regex,omitempty"`
				TargetLabel  string   `json:"targetLabel,omitempty"`
				Replacement  string   `json:"replacement,omitempty"`
			} `json:"relabelings"`
		} `json:"endpoints"`
	} `json:"spec"`
}

type prometheusRule struct {
	object
	Spec ruleSpec `json:"spec"`
}

// ruleSpec is also Prometheus' own form of a file of rules.
type ruleSpec struct {
	Groups []struct {
		Name  string `json:"name"`
		Rules []struct {
			Record      string            `json:"record,omitempty"`
			Alert       string            `json:"alert,omitempty"`
			Expr        string            `json:"expr"`
			For         string            `json:"for,omitempty"`
			Labels      map[string]string `json:"labels,omitempty"`
			Annotations map[string]string `json:"annotations,omitempty"`
		} `json:"rules"`
	} `json:"groups"`
}
