package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"ringback/internal/operation"
)

const (
	// exactCount is up to how many runs a count looks at each of them, and
	// exactWithin how long that may take.
	exactCount  = 10_000
	exactWithin = 5 * time.Second
)

// Count counts operations, each by its latest run. Visibility alone can't: it
// keeps every run of a redelivered operation and groups by nothing but the
// execution status. So up to exactCount runs are looked at one by one; of more,
// or where that takes too long, the runs are counted.
func (s *Service) Count(ctx context.Context, q operation.CountQuery) (operation.OperationsCount, error) {
	query := listQuery(q.ListQuery)
	runs, err := s.countRuns(ctx, query)
	if err != nil {
		return operation.OperationsCount{}, err
	}
	if runs <= exactCount {
		count, err := s.countLatest(ctx, query, q.GroupBy)
		if !errors.Is(err, errTooLong) {
			return count, err
		}
	}
	groups, err := s.countGroups(ctx, q)
	return operation.OperationsCount{Count: runs, Groups: groups}, err
}

// errTooLong says that the latest runs were not looked at in time.
var errTooLong = errors.New("the latest runs were not looked at in time")

func (s *Service) countLatest(ctx context.Context, query, groupBy string) (operation.OperationsCount, error) {
	bounded, cancel := context.WithTimeout(ctx, exactWithin)
	defer cancel()
	count, tally := operation.OperationsCount{Exact: true}, map[operation.CountGroup]int{}
	err := s.eachLatest(bounded, query, func(s operation.Summary) bool {
		count.Count++
		if groupBy != "" {
			tally[group(groupBy, s)]++
		}
		return true
	})
	if ranOut(ctx, bounded, err) {
		return count, fmt.Errorf("%w: %w", errTooLong, err)
	}
	count.Groups = largestFirst(tally)
	return count, err
}

func group(by string, s operation.Summary) operation.CountGroup {
	if by == operation.GroupByEndpoint {
		return operation.CountGroup{Endpoint: s.Endpoint}
	}
	return operation.CountGroup{Outcome: s.Outcome}
}

// countGroups counts the runs of each group by itself.
func (s *Service) countGroups(ctx context.Context, q operation.CountQuery) ([]operation.CountGroup, error) {
	tally := map[operation.CountGroup]int{}
	for g, query := range s.groupQueries(q) {
		count, err := s.countRuns(ctx, query)
		if err != nil {
			return nil, err
		}
		if count > 0 {
			tally[g] = count
		}
	}
	return largestFirst(tally), nil
}

func (s *Service) groupQueries(q operation.CountQuery) map[operation.CountGroup]string {
	queries := map[operation.CountGroup]string{}
	switch q.GroupBy {
	case operation.GroupByEndpoint:
		for _, name := range s.EndpointNames() {
			if q.Endpoint == "" || q.Endpoint == name {
				q := q.ListQuery
				q.Endpoint = name
				queries[operation.CountGroup{Endpoint: name}] = listQuery(q)
			}
		}
	case operation.GroupByOutcome:
		for _, outcome := range operation.Outcomes {
			queries[operation.CountGroup{Outcome: outcome}] = listQuery(q.ListQuery) + " AND " + outcomeTerm(outcome)
		}
	}
	return queries
}

func largestFirst(tally map[operation.CountGroup]int) []operation.CountGroup {
	groups := make([]operation.CountGroup, 0, len(tally))
	for g, count := range tally {
		g.Count = count
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b operation.CountGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Outcome, b.Outcome))
	})
	return groups
}

// countRuns counts the runs that a query matches.
func (s *Service) countRuns(ctx context.Context, query string) (int, error) {
	response, err := s.Client.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: s.Namespace, Query: query})
	if err != nil {
		return 0, visibilityError(fmt.Sprintf("counting the runs with %s", query), err)
	}
	return int(response.GetCount()), nil
}
