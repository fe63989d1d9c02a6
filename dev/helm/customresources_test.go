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
				SourceLabels []string `json:"sourceLabels"`
				TargetLabel  string   `json:"targetLabel"`
				Replacement  string   `json:"replacement"`
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
