package activities_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/internal/operation"
)

func TestAWorkerSaysWhenAnEndpointWentBadOrRecovered(t *testing.T) {
	t.Parallel()
	const failingAfter = 3
	for name, tt := range map[string]struct {
		answers []int
		// refused are the first reports that the server does not take.
		refused int
		heard   int
		said    []string
	}{
		"an endpoint that acknowledges is well, which is said once": {[]int{200, 200, 200}, 0, failingAfter, []string{"well"}},
		"a few unacknowledged attempts are nothing":                 {[]int{200, 503, 503, 200, 503, 503}, 0, failingAfter, []string{"well"}},
		"so many in a row are failing, which is said once":          {[]int{503, 503, 503, 503, 503}, 0, failingAfter, []string{"failing after 3: HTTP 503 is not 2xx"}},
		"an acknowledgement after that is a recovery":               {[]int{503, 503, 503, 200, 200}, 0, failingAfter, []string{"failing after 3: HTTP 503 is not 2xx", "well"}},
		"what the server did not take is said again":                {[]int{503, 503, 503, 503, 503}, 1, failingAfter, []string{"failing after 3: HTTP 503 is not 2xx", "failing after 4: HTTP 503 is not 2xx"}},
		"where nobody hears, nothing is said":                       {[]int{503, 503, 503, 503}, 0, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inVirtualTime(t, func(t *testing.T, b *bench) {
				var said []string
				b.FailingAfter = func(string) int { return tt.heard }
				b.ReportHealth = func(_ context.Context, endpoint string, h operation.Health) error {
					require.Equal(t, shop, endpoint)
					if h.Failing {
						said = append(said, fmt.Sprintf("failing after %d: %s", h.Attempts, h.Reason))
					} else {
						said = append(said, "well")
					}
					if len(said) <= tt.refused {
						return errors.New("the server does not answer")
					}
					return nil
				}
				for _, status := range tt.answers {
					b.receiver.answer = statuses(status)
					_, err := b.deliver(ringing(time.Second, 1), run{})
					require.NoError(t, err)
					synctest.Wait()
				}
				require.Equal(t, tt.said, said)
			})
		})
	}
}

func TestAnEndpointThatStaysWellIsSaidToBeFromTimeToTime(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *bench) {
		said := 0
		b.FailingAfter = func(string) int { return 20 }
		b.ReportHealth = func(_ context.Context, _ string, h operation.Health) error {
			require.False(t, h.Failing)
			said++
			return nil
		}
		b.receiver.answer = statuses(200)
		for range 22 {
			_, err := b.deliver(ringing(time.Second, 1), run{})
			require.NoError(t, err)
			time.Sleep(time.Minute)
		}
		require.Equal(t, 4, said, "every five minutes: another worker may have said that it is failing, and be gone")
	})
}
