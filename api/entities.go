package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-registry/writ/registry"
)

func (s *server) routeEntities() {
	route(s, huma.Operation{OperationID: "put-entity", Method: http.MethodPut, Path: "/v1/orgs/{org}/entities/{type}/{id}", Tags: []string{"entities"},
		Summary:     "Say what the org knows of a user, group, resource or agent, for its policies",
		Description: "All of it: what is left out is not known any more. It gives no authority of its own."}, s.putEntity)
	route(s, huma.Operation{OperationID: "get-entity", Method: http.MethodGet, Path: "/v1/orgs/{org}/entities/{type}/{id}", Tags: []string{"entities"},
		Summary: "What the org knows of an entity"}, s.getEntity)
	route(s, huma.Operation{OperationID: "list-entities", Method: http.MethodGet, Path: "/v1/orgs/{org}/entities", Tags: []string{"entities"},
		Summary: "The entities of an org, in order of type and id"}, s.listEntities)
	route(s, huma.Operation{OperationID: "put-entities", Method: http.MethodPut, Path: "/v1/orgs/{org}/entities", Tags: []string{"entities"},
		Summary:     "Say what the org knows of many entities, all of them or none",
		Description: "As put-entity, of each; entities that are not named stay as they are. Each that changes has its own event."}, s.putEntities)
	route(s, huma.Operation{OperationID: "delete-entity", Method: http.MethodDelete, Path: "/v1/orgs/{org}/entities/{type}/{id}", Tags: []string{"entities"},
		Summary: "Know nothing of an entity any more"}, s.deleteEntity)
}

// EntityPath names an entity of an org.
type EntityPath struct {
	OrgPath
	Type string `path:"type" doc:"As in a subject or resource: user, group, invoices; of an agent, agent"`
	ID   string `path:"id" doc:"Of an agent, its DID"`
}

// NewEntity is the body of put-entity.
type NewEntity struct {
	Properties *arguments           `json:"properties,omitempty" doc:"What policies read of it, 16 KiB at most"`
	Parents    []registry.EntityRef `json:"parents,omitempty" maxItems:"16" doc:"Groups that it is in"`
}

func (n NewEntity) entity(typ, id string) registry.Entity {
	e := registry.Entity{Type: typ, ID: id, Parents: n.Parents}
	if n.Properties != nil {
		e.Properties = n.Properties.RawMessage
	}
	return e
}

// EntityAnswer is an entity and the event that records the change.
type EntityAnswer struct {
	Entity StoredEntity       `json:"entity"`
	Event  *registry.EventRef `json:"event,omitempty"`
}

// StoredEntity is what an org knows of an entity.
type StoredEntity struct {
	Type       string               `json:"type"`
	ID         string               `json:"id"`
	Properties arguments            `json:"properties"`
	Parents    []registry.EntityRef `json:"parents"`
	Updated    string               `json:"updated" format:"date-time"`
}

func storedEntity(e registry.Entity) StoredEntity {
	return StoredEntity{e.Type, e.ID, arguments{e.Properties}, append([]registry.EntityRef{}, e.Parents...), e.Updated.Format(registry.TimeFormat)}
}

func (s *server) putEntity(ctx context.Context, call registry.Call, in *struct {
	EntityPath
	Body NewEntity
}) (*changed[EntityAnswer], error) {
	out, err := s.Registry.PutEntity(ctx, call, in.Org, in.Body.entity(in.Type, in.ID))
	if err != nil {
		return nil, err
	}
	return change(out, EntityAnswer{storedEntity(out.Value), eventOf(out)}), nil
}

// NewEntities is the body of put-entities.
type NewEntities struct {
	Entities []NamedEntity `json:"entities" minItems:"1" maxItems:"1000"`
}

// NamedEntity is one of many entities.
type NamedEntity struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	NewEntity
}

// EntitiesAnswer says how many changed, with their events, in the order of the list.
type EntitiesAnswer struct {
	registry.EntitiesPut
	Events []registry.EventRef `json:"events"`
}

func (s *server) putEntities(ctx context.Context, call registry.Call, in *struct {
	OrgPath
	Body NewEntities
}) (*changed[EntitiesAnswer], error) {
	list := make([]registry.Entity, len(in.Body.Entities))
	for i, e := range in.Body.Entities {
		list[i] = e.entity(e.Type, e.ID)
	}
	out, err := s.Registry.PutEntities(ctx, call, in.Org, list)
	if err != nil {
		return nil, err
	}
	return change(out, EntitiesAnswer{out.Value, append([]registry.EventRef{}, out.Events...)}), nil
}

func (s *server) getEntity(ctx context.Context, call registry.Call, in *EntityPath) (*plain[StoredEntity], error) {
	e, err := s.Registry.FindEntity(ctx, call.Caller, in.Org, in.Type, in.ID)
	return &plain[StoredEntity]{storedEntity(e)}, err
}

func (s *server) listEntities(ctx context.Context, call registry.Call, in *struct {
	OrgPath
	Type string `query:"type" doc:"Of this type only"`
	PageParams
}) (*plain[page[StoredEntity]], error) {
	place := func(e StoredEntity) string {
		if in.Type != "" {
			return e.ID
		}
		return registry.Entity{Type: e.Type, ID: e.ID}.Place()
	}
	return listed(in.PageParams, "entities."+url.QueryEscape(in.Type), place, func(p registry.Page) ([]StoredEntity, error) {
		list, err := s.Registry.ListEntities(ctx, call.Caller, in.Org, in.Type, p)
		out := make([]StoredEntity, len(list))
		for i, e := range list {
			out[i] = storedEntity(e)
		}
		return out, err
	})
}

func (s *server) deleteEntity(ctx context.Context, call registry.Call, in *EntityPath) (*changed[EntityAnswer], error) {
	out, err := s.Registry.DeleteEntity(ctx, call, in.Org, in.Type, in.ID)
	if err != nil {
		return nil, err
	}
	return change(out, EntityAnswer{storedEntity(out.Value), eventOf(out)}), nil
}
