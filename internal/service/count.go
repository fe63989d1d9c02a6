package service

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"ringback/internal/operation"
)

const (
	// exactLimit is up to how many runs each of them is read for a count, and
	// exactTimeout how long that may take.
	exactLimit   = 10_000
	exactTimeout = 5 * time.Second
)

// Count counts operations, each by its latest run. Visibility alone can't: it
// keeps every run of a redelivered operation and groups by nothing but the
// execution status. So the runs are read one by one; where they are too many, or
// that takes too long, visibility counts runs.
func (s *Service) Count(ctx context.Context, q operation.CountQuery) (operation.OperationsCount, error) {
	count, err := s.countOperations(ctx, listQuery(q.ListQuery), q.GroupBy)
	if err == nil {
		err = s.requireKnown(ctx, q.ListQuery, count.Count)
	}
	if err == nil && !count.Exact {
		count.Groups, err = s.countGroups(ctx, q)
	}
	return count, err
}

// countOperations counts the operations of a query; where that is not exact, its
// runs, without groups.
func (s *Service) countOperations(ctx context.Context, query, groupBy string) (operation.OperationsCount, error) {
	runs, err := s.countRuns(ctx, query)
	if err != nil {
		return operation.OperationsCount{}, err
	}
	if runs <= exactLimit {
		bounded, cancel := context.WithTimeout(ctx, exactTimeout)
		defer cancel()
		count, err := s.countLatest(bounded, query, groupBy)
		if !timedOut(ctx, bounded, err) {
			return count, err
		}
	}
	return operation.OperationsCount{Count: runs}, nil
}

func (s *Service) countLatest(ctx context.Context, query, groupBy string) (operation.OperationsCount, error) {
	count, tally := operation.OperationsCount{Exact: true}, map[operation.CountGroup]int{}
	err := s.eachLatest(ctx, query, func(one operation.Summary) bool {
		count.Count++
		switch groupBy {
		case operation.GroupByEndpoint:
			tally[operation.CountGroup{Endpoint: one.Endpoint}]++
		case operation.GroupByOutcome:
			tally[operation.CountGroup{Outcome: one.Outcome}]++
		}
		return true
	})
	count.Groups = largestFirst(tally)
	return count, err
}

// countGroups counts the runs of each group by a query of its own.
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
				list := q.ListQuery
				list.Endpoint = name
				queries[operation.CountGroup{Endpoint: name}] = listQuery(list)
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
