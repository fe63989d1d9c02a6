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

func TestAnEndpointsHealthIsReportedWhenItChanges(t *testing.T) {
	t.Parallel()
	const failingAfter = 3
	for name, tt := range map[string]struct {
		answers []int
		// refused are the first reports that the server does not take.
		refused      int
		failingAfter int
		reports      []string
	}{
		"an endpoint that acknowledges is well, which is reported once": {[]int{200, 200, 200}, 0, failingAfter, []string{"well"}},
		"a few unacknowledged attempts are not reported":                {[]int{200, 503, 503, 200, 503, 503}, 0, failingAfter, []string{"well"}},
		"so many in a row are failing, which is reported once":          {[]int{503, 503, 503, 503, 503}, 0, failingAfter, []string{"failing after 3: HTTP 503 is not 2xx"}},
		"an acknowledgement after that is a recovery":                   {[]int{503, 503, 503, 200, 200}, 0, failingAfter, []string{"failing after 3: HTTP 503 is not 2xx", "well"}},
		"a report that the server did not take is repeated":             {[]int{503, 503, 503, 503, 503}, 1, failingAfter, []string{"failing after 3: HTTP 503 is not 2xx", "failing after 4: HTTP 503 is not 2xx"}},
		"nothing is reported where nobody is notified":                  {[]int{503, 503, 503, 503}, 0, 0, nil},
	} {
		subtest(t, name, func(t *testing.T, b *fixture) {
			var reports []string
			b.FailingAfter = func(string) int { return tt.failingAfter }
			b.ReportHealth = func(_ context.Context, endpoint string, h operation.Health) error {
				require.Equal(t, shop, endpoint)
				if h.Failing {
					reports = append(reports, fmt.Sprintf("failing after %d: %s", h.Attempts, h.Reason))
				} else {
					reports = append(reports, "well")
				}
				if len(reports) <= tt.refused {
					return errors.New("the server does not answer")
				}
				return nil
			}
			for _, status := range tt.answers {
				b.receiver.answer = statuses(status)
				_, err := b.deliver(deliverInput(time.Second, 1), run{})
				require.NoError(t, err)
				synctest.Wait()
			}
			require.Equal(t, tt.reports, reports)
		})
	}
}

func TestAnEndpointThatStaysWellIsReportedEveryFiveMinutes(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, b *fixture) {
		reports := 0
		b.FailingAfter = func(string) int { return 20 }
		b.ReportHealth = func(_ context.Context, _ string, h operation.Health) error {
			require.False(t, h.Failing)
			reports++
			return nil
		}
		b.receiver.answer = statuses(200)
		for range 22 {
			_, err := b.deliver(deliverInput(time.Second, 1), run{})
			require.NoError(t, err)
			time.Sleep(time.Minute)
		}
		require.Equal(t, 4, reports)
	})
}
