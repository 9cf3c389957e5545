package api

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/writ-registry/writ/internal/canon"
	"github.com/writ-registry/writ/registry"
)

// PageParams are the parameters of every list.
type PageParams struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Items on a page"`
	Cursor string `query:"cursor" doc:"next of the page before; opaque"`
}

// page is one page of a list.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
}

// listed reads one page of the list of that name. id is what a cursor holds.
func listed[T any](in PageParams, name string, id func(T) string, list func(registry.Page) ([]T, error)) (*plain[page[T]], error) {
	p := registry.Page{Limit: in.Limit}
	if in.Cursor != "" {
		var err error
		if p.After, err = openCursor(name, in.Cursor); err != nil {
			return nil, err
		}
	}
	items, err := list(p)
	if err != nil {
		return nil, err
	}
	out := &plain[page[T]]{page[T]{Items: items}}
	if items == nil {
		out.Body.Items = []T{}
	}
	if len(items) < p.Limit {
		return out, nil
	}
	// A full page may be the last one: ask whether anything follows.
	last := id(items[len(items)-1])
	more, err := list(registry.Page{After: last, Limit: 1})
	if err == nil && len(more) > 0 {
		out.Body.Next = cursor{1, name, last}.String()
	}
	return out, err
}

// cursor is what a page's next means: the list and the last id shown.
type cursor struct {
	V     int    `json:"v"`
	List  string `json:"list"`
	After string `json:"after"`
}

func (c cursor) String() string {
	form, err := canon.Marshal(c)
	if err != nil {
		panic(err) // strings and an integer
	}
	return base64.RawURLEncoding.EncodeToString(form)
}

// openCursor accepts only what String gave for the same list.
func openCursor(list, text string) (after string, err error) {
	form, err := base64.RawURLEncoding.Strict().DecodeString(text)
	var bad base64.CorruptInputError
	if errors.As(err, &bad) {
		return "", registry.Invalid("/cursor", "not base64url at character %d", int64(bad)+1)
	}
	var c cursor
	if err == nil {
		err = canon.Unmarshal(form, &c)
	}
	if err == nil && (c.V != 1 || !bytes.Equal([]byte(c.String()), []byte(text))) {
		err = fmt.Errorf("another version")
	}
	if err != nil {
		return "", registry.Invalid("/cursor", "not a cursor that this registry gave out")
	}
	if c.List != list {
		return "", registry.Invalid("/cursor", "a cursor of another list")
	}
	return c.After, nil
}
