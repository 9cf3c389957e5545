package journal

// Waiting is how many commands are queued.
func (j *Journal) Waiting() (urgent, ordinary int) { return len(j.urgent), len(j.queue) }

// Canonical is the artifact's bytes.
func (e Envelope) Canonical() []byte { return e.canonical() }
