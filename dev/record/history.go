package main

import (
	"context"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/temporalproto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// recorder replaces process ids and host names in a history.
const recorder = "recorder"

// history is that of a run, as the replayer reads it, without this machine's names.
func (s *recording) history(ctx context.Context, workflowID, runID string) ([]byte, error) {
	events := s.temporal.GetWorkflowHistory(ctx, workflowID, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	history := &historypb.History{}
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return nil, err
		}
		scrub(event.ProtoReflect())
		history.Events = append(history.Events, event)
	}
	text, err := temporalproto.CustomJSONMarshalOptions{Indent: " "}.Marshal(history)
	return append(text, '\n'), err
}

// scrub removes this machine's names: identities, a worker's own queue, and the paths
// in stack traces.
func scrub(m protoreflect.Message) {
	if queue, ok := m.Interface().(*taskqueuepb.TaskQueue); ok && queue.GetKind() == enumspb.TASK_QUEUE_KIND_STICKY {
		queue.Name = recorder
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Kind() == protoreflect.StringKind && !field.IsList():
			switch field.Name() {
			case "identity", "binary_checksum", "build_id":
				m.Set(field, protoreflect.ValueOfString(recorder))
			case "stack_trace":
				m.Clear(field)
			}
		case field.IsMap():
			if field.MapValue().Kind() == protoreflect.MessageKind {
				value.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool { scrub(v.Message()); return true })
			}
		case field.Kind() == protoreflect.MessageKind && field.IsList():
			for i := range value.List().Len() {
				scrub(value.List().Get(i).Message())
			}
		case field.Kind() == protoreflect.MessageKind:
			scrub(value.Message())
		}
		return true
	})
}
