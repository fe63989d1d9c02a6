package telemetry

import (
	"fmt"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// AuditFile is a file to which each line is added by one write. The zero value has none.
type AuditFile struct {
	mu   sync.Mutex
	file *os.File
	// torn: the latest write ended within a line.
	torn bool
}

// Open opens the file at path for what is written from now on, also where one is open
// already: it may have been renamed. On an error that one stays.
func (a *AuditFile) Open(path string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening audit.file: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file != nil {
		_ = a.file.Close()
	}
	a.file, a.torn = file, false
	return nil
}

// Close closes the file, if there is one: nothing more is written.
func (a *AuditFile) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file != nil {
		_ = a.file.Close()
	}
	a.file = nil
}

// IsOpen reports whether there is a file.
func (a *AuditFile) IsOpen() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.file != nil
}

// Write writes fields as one JSON object, and returns once the operating system has
// them: they outlive this process, not a power cut.
func (a *AuditFile) Write(fields ...zap.Field) error {
	entry := zapcore.Entry{Time: time.Now(), Message: "audit"}
	line, err := auditEncoder.Clone().EncodeEntry(entry, fields)
	if err != nil {
		return fmt.Errorf("encoding a line of the audit: %w", err)
	}
	defer line.Free()
	content := line.Bytes()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.torn {
		content = append([]byte("\n"), content...)
	}
	n, err := a.file.Write(content)
	if n > 0 {
		a.torn = n < len(content)
	}
	if err != nil {
		return fmt.Errorf("writing a line of the audit: %w", err)
	}
	return nil
}

var auditEncoder = screened{zapcore.NewJSONEncoder(zapcore.EncoderConfig{
	TimeKey: encoderConfig.TimeKey, MessageKey: encoderConfig.MessageKey,
	EncodeTime: encoderConfig.EncodeTime, EncodeDuration: encoderConfig.EncodeDuration,
}), (*Unscreened)(nil).screenJSON}
