package main

import (
	"context"
	"fmt"
	"maps"
	"strconv"
)

// keyPrefix is where the read model is.
const keyPrefix = "user:"

// samples is how many entities of a read model are compared field by field.
const samples = 200

// user is an entity as the bench folds it by itself.
type user struct {
	id, name, email, city string
	orders, spent         int
}

func (u *user) fold(e event) {
	words := e.words()[4:] // past the type and the ID
	switch e.kind {
	case userCreated:
		u.id, u.name, u.email = strconv.Itoa(e.entity), words[1], words[3]
	case emailUpdated:
		u.email = words[1]
	case addressUpdated:
		u.city = words[1]
	default:
		u.orders++
		u.spent += e.number
	}
}

// hash is what Redis must hold.
func (u *user) hash() map[string]string {
	hash := map[string]string{"id": u.id, "name": u.name, "email": u.email, "city": u.city}
	maps.DeleteFunc(hash, func(_, value string) bool { return value == "" })
	if u.orders > 0 {
		hash["orders"], hash["spent"] = strconv.Itoa(u.orders), strconv.Itoa(u.spent)
	}
	return hash
}

// model is the judge of a read model: which entities it must have, and what
// some of them must be.
type model struct {
	exists   []bool // by entity
	entities int    // that exist
	users    map[int]*user
}

// newModel folds a workload and keeps every step-th entity. A model of all may
// be larger than the projector that it judges.
func newModel(w workload, step int) *model {
	m := &model{exists: make([]bool, w.entities), users: map[int]*user{}}
	for _, e := range w.all() {
		if !m.exists[e.entity] {
			m.exists[e.entity] = true
			m.entities++
		}
		if e.entity%step == 0 {
			m.at(e.entity).fold(e)
		}
	}
	return m
}

// sampled is a model that keeps enough entities to compare.
func sampled(w workload) *model { return newModel(w, max(1, w.entities/samples)) }

func (m *model) at(entity int) *user {
	u := m.users[entity]
	if u == nil {
		u = &user{}
		m.users[entity] = u
	}
	return u
}

// check compares the hashes under a prefix with the model: all their keys, and
// what some of them hold.
func (m *model) check(ctx context.Context, s *server, prefix string) error {
	if err := m.checkKeys(ctx, s, prefix); err != nil {
		return err
	}
	compared := 0
	for entity, u := range m.users {
		got, err := s.client.HGetAll(ctx, prefix+strconv.Itoa(entity)).Result()
		if err != nil {
			return err
		}
		if !maps.Equal(got, u.hash()) {
			return fmt.Errorf("the read model is wrong: %s%d is %v, not %v", prefix, entity, got, u.hash())
		}
		if compared++; compared == samples {
			break
		}
	}
	return nil
}

// checkKeys counts each entity once: a scan may show a key twice.
func (m *model) checkKeys(ctx context.Context, s *server, prefix string) error {
	seen, found := make([]bool, len(m.exists)), 0
	err := s.scan(ctx, prefix, func(keys []string) error {
		for _, key := range keys {
			entity, err := strconv.Atoi(key[len(prefix):])
			if err != nil || entity < 0 || entity >= len(seen) || !m.exists[entity] {
				return fmt.Errorf("the read model is wrong: there is %s", key)
			}
			if !seen[entity] {
				seen[entity] = true
				found++
			}
		}
		return nil
	})
	if err == nil && found != m.entities {
		err = fmt.Errorf("the read model is wrong: %d entities, not %d", found, m.entities)
	}
	return err
}
