package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestEachHundredOperationsOfTheMixTakeTheSamePaths(t *testing.T) {
	t.Parallel()
	ends, polls, attempts, paysera := map[mixEnd]int{}, map[int]int{}, map[int]int{}, 0
	for number := 300; number < 400; number++ {
		p := mixPathOf(number)
		assert.Equal(t, mixPathOf(number-300), p)
		ends[p.end]++
		if p.paysera {
			paysera++
		}
		if p.end == mixAcknowledged {
			attempts[p.failing+1]++
		}
		if p.end == mixAcknowledged && p.failing == 0 {
			polls[p.polls(fullMix)]++
		}
	}
	assert.Equal(t, 50, paysera)
	assert.Equal(t, map[mixEnd]int{mixAcknowledged: 83, mixUsedUp: 10, mixExhausted: 4, mixRevoked: 2, mixWithdrawn: 1}, ends)
	assert.Equal(t, map[int]int{1: 45, 2: 10, 3: 10, 4: 10}, polls)
	assert.Equal(t, map[int]int{1: 75, 2: 4, 3: 4}, attempts)
}

func TestAnOperationOfTheMixHasThePollsAndCallbacksOfItsPath(t *testing.T) {
	t.Parallel()
	got := map[string][]string{}
	for number := range 100 {
		p := mixPathOf(number)
		got[p.String()] = p.callbacks()
	}
	assert.Subset(t, got, map[string][]string{
		"Ukrcard, [0 0 2], acknowledged":                                {"2"},
		"Ukrcard, [0], polls used up":                                   {"0"},
		"Ukrcard, [0], revoked":                                         nil,
		"Paysera, [done], acknowledged":                                 {"done"},
		"Paysera, [waiting_funds reserved reserved done], acknowledged": {"waiting_funds", "reserved", "done"},
		"Paysera, [waiting_funds reserved], polls used up":              {"waiting_funds", "reserved"},
		"Paysera, [waiting_funds reserved], revoked":                    {"waiting_funds", "reserved", "revoked"},
		"Paysera, [waiting_funds reserved], withdrawn":                  {"waiting_funds", "reserved"},
		"Paysera, [reserved done], exhausted":                           {"reserved", "done", "done", "done", "done", "done", "done", "done", "done", "done", "done"},
	})
	for p, polls := range map[mixEnd]int{mixUsedUp: 11, mixRevoked: 2, mixWithdrawn: 2} {
		assert.Equal(t, polls, mixPath{end: p}.polls(fullMix))
	}
	assert.Equal(t, 150*time.Second, fullMix.longest())
	assert.Equal(t, 11, len(quickMix.Schedule)+1)
}
