package operation

import "time"

// Due is when the next attempt is due: h after the end of the last; zero: at once.
func (r *DeliveryRecord) Due(h time.Duration) Time {
	due := r.NotBefore
	if ended := r.ended(); !ended.IsZero() && ended.Add(h).After(due) {
		due = ended.Add(h)
	}
	return due
}

// ended is when the last attempt of this delivery ended; zero before the first.
func (r *DeliveryRecord) ended() Time {
	switch {
	case r.Made == 0 || r.Last() == nil:
		return Time{}
	case !r.EndedAt.IsZero():
		return r.EndedAt
	}
	return r.Last().End()
}

// CatchUp counts h from now where the last attempt ended after latest, the latest
// possible time: the clock was set back since.
func (r *DeliveryRecord) CatchUp(now, latest Time) {
	ended := r.ended()
	if !ended.After(latest) {
		return
	}
	if !r.NotBefore.IsZero() {
		r.NotBefore = r.NotBefore.Add(now.Sub(ended.Time))
	}
	r.EndedAt = now
}
