//go:build !race

// The race detector makes everything ten times slower.

package expression_test

import (
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/expression"
)

// rusageThread is Linux's RUSAGE_THREAD, which package syscall has no name for.
const rusageThread = 1

// cpu is the time that the calling thread has worked: other programs don't lengthen it.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	require.NoError(t, syscall.Getrusage(rusageThread, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// requireQuick wants one call of work to take 10 ms of the processor on average. A
// machine's clock of it may be as coarse as 10 ms, so that many calls are measured.
func requireQuick(t *testing.T, work func()) {
	t.Helper()
	const calls, margin = 5, 2
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begun := cpu(t)
	for range calls {
		work()
	}
	require.LessOrEqual(t, (cpu(t)-begun)/calls, margin*10*time.Millisecond)
}

func TestNoEvaluationTakesMoreThan10ms(t *testing.T) {
	vars := hostileVariables()
	for _, text := range []string{
		`text.matches('(x+x+)+y')`,
		`text.substring(0, 20000).matches('(x+x+)+y')`,
		`text.substring(0, 2000).matches('(x?){50}y')`,
		`text.matches('x*y')`,
		`text.replace('', text) == ''`,
		`text.replace('x', 'yyyyyyyyyyyyyyyyyyyyyy') == ''`,
		`text.indexOf(text.substring(1) + 'y') == 3`,
		`text.lastIndexOf(text.substring(32768) + 'y') == 3`,
		`text.split('').map(c, text).join() == ''`,
		`text.split('').exists(c, text.split('').size() == 3)`,
		`text.split('').exists(c, text.charAt(5) == 'y')`,
		`text.split('').map(c, c + c).size() == 3`,
		`(text + text + text + text + text + text + text) == ''`,
		`'%s%s%s%s'.format([text, text, text, text]) == ''`,
		`'%s'.format([body]) == ''`,
		`json(body) == ''`,
		`hex(bytes(text)) == base64.encode(bytes(text))`,
		`text.reverse() == text.upperAscii()`,
		`body.list.all(i, body == body)`,
		`body.list.all(i, body.object == body.object)`,
		`body.list.all(i, i in body.list)`,
		`body.list.exists(i, body.list.exists(k, i + k < 0))`,
		`body.list.exists(i, json(body) == '')`,
		`body.list.map(i, [i, i, i, i]) == []`,
		`body.deep == [body.deep]`,
		`operation.operation_id` + strings.Repeat(`.replace('', 'aaaaaaaa')`, 20) + ` == ''`,
		`text` + strings.Repeat(`.replace('x', 'y').replace('y', 'x')`, 20) + ` == ''`,
		`text.replace('', 'aaaaaaaaaaaaaaa')` + strings.Repeat(`.upperAscii()`, 40) + ` == ''`,
		`text.replace('', 'aaaaaaaaaaaaaaa')` + strings.Repeat(`.reverse()`, 40) + ` == ''`,
		nested(26, `json(`, `operation.operation_id`, `)`) + ` == ''`,
		nested(20, `hex(bytes(`, `operation.operation_id`, `))`) + ` == ''`,
		nested(4, `base64.encode(bytes(`, `text`, `))`) + ` == ''`,
		nested(9, `strings.quote(`, `text`, `)`) + ` == ''`,
		nested(18, `[`, `text`, `].map(a, [a, a])`) + ` == []`,
		nested(18, `[`, `text`, `].map(a, [a, a])`),
		nested(18, `[`, `text`, `].map(a, json([a, a]))`) + ` == []`,
		nested(18, `[`, `[1]`, `].map(a, a + a)[0]`) + `.size() == 1`,
		strings.Repeat(`text.substring(0, 3000).matches('(x?){50}y') || `, 60) + `false`,
		strings.Repeat(`text.matches('x*y') || `, 70) + `false`,
		strings.Repeat(`text.indexOf('xxxxxxxxxxxxxxy') == 3 || `, 70) + `false`,
		strings.Repeat(`text.lastIndexOf('yxxxxxxxxxxxxxx') == 3 || `, 70) + `false`,
		strings.Repeat(`text.split('').size() == 3 || `, 60) + `false`,
		strings.Repeat(`text.trim() == '' || `, 70) + `false`,
		nested(12, `json(`, `body.quotes`, `)`),
		nested(9, `strings.quote(`, `body.quotes`, `)`),
		`body.list.exists(i, text.size() == 3)`,
		`body.list.exists(i, timestamp(1).getHours('Europe/Kyiv') == 99)`,
		strings.Repeat(`[`, 40) + `text` + strings.Repeat(`]`, 40) + ` == []`,
	} {
		t.Run(text, func(t *testing.T) {
			e, fault := expression.AnswerScope().Compile(text, expression.Value)
			require.Nil(t, fault)
			requireQuick(t, func() { _, _ = e.Eval(t.Context(), vars) })
		})
	}
}

// nested is inner within so many calls.
func nested(times int, before, inner, after string) string {
	return strings.Repeat(before, times) + inner + strings.Repeat(after, times)
}

func TestNoAnswerTakesMoreThan10msToDecode(t *testing.T) {
	const most = 64 << 10 // as much as is read of an answer
	for name, data := range map[string]string{
		"a text":         `"` + strings.Repeat("x", most) + `"`,
		"escapes":        `"` + strings.Repeat(`\n`, most/2) + `"`,
		"spaces":         strings.Repeat(" ", most) + "1",
		"digits":         strings.Repeat("1", most),
		"brackets":       strings.Repeat("[", most),
		"braces":         strings.Repeat(`{"a":`, most/5),
		"values":         "[" + strings.Repeat("1,", most/2) + "1]",
		"as many values": "[" + strings.Repeat("1,", 4998) + "1]",
		"one member":     "{" + strings.Repeat(`"a":1,`, most/6) + `"a":1}`,
		"a member twice": `{"a":[` + strings.Repeat("1,", 2000) + `1],"a":[` + strings.Repeat("1,", 2000) + `1]}`,
	} {
		t.Run(name, func(t *testing.T) {
			requireQuick(t, func() { _, _ = expression.DecodeJSON([]byte(data)) })
		})
	}
}
