// SPDX-License-Identifier: MIT

// Mistakes after which a compiler cannot go on without further errors. The first error must have the words
// that stand above the line, and no later one may name another remedy of kvstore, except those that hold as
// well. Compiled once for each CASE.

#include <atomic>
#include <deque>
#include <kvstore/kvstore.hpp>
#include <map>
#include <string>
#include <vector>

#if CASE == 1  // the header of a tree's type is missing
// says first: basic_json | nlohmann::json as a value needs #include <nlohmann/json.hpp>
void open() { kvstore::DurableMap<int, nlohmann::json> orders{"orders.json"}; }

#elif CASE == 2  // the same, inside another type
// says first: basic_json | nlohmann::json as a value needs #include <nlohmann/json.hpp>
void open() { kvstore::DurableMap<int, std::map<int, nlohmann::json>> orders{"orders.json"}; }

#elif CASE == 3  // libstdc++'s deque allocates when it is moved
// says first: deque<int | movable without throwing | std::unique_ptr
void open() { kvstore::DurableMap<int, std::deque<int>> rows{"rows.json"}; }

#elif CASE == 4
struct Hits {
  std::atomic<int> count;
};
constexpr auto kvstore_fields(const Hits*) { return kvstore::fields("count", &Hits::count); }
// also: Store the plain value
// says first: Hits | movable without throwing | the plain value
void open() { kvstore::DurableMap<int, Hits> hits{"hits.json"}; }

#elif CASE == 5
struct Place {
  int x = 0;
};
template <>
struct std::hash<Place> {
  std::size_t operator()(const Place& place) const { return std::hash<int>{}(place.x); }
};
constexpr auto kvstore_fields(const Place*) { return kvstore::fields("x", &Place::x); }
// says first: Place | this key has no operator==
void open() { kvstore::DurableMap<Place, int> visits{"visits.json"}; }

#elif CASE == 6
// also: mend the list
struct Point {
  int x = 0;
  int y = 0;
};
// says first: two_fields_have_the_same_name
constexpr auto kvstore_fields(const Point*) { return kvstore::fields("x", &Point::x, "x", &Point::y); }
void open() { kvstore::DurableMap<int, Point> points{"points.json"}; }

#elif CASE == 7
struct Flags {
  int first : 1;
};
// says first: bit-field
constexpr auto kvstore_fields(const Flags*) { return kvstore::fields("first", &Flags::first); }
void open() { kvstore::DurableMap<int, Flags> flags{"flags.json"}; }

#elif CASE == 8
struct Config {
  static int limit;
};
// says first: a static member belongs to no object
constexpr auto kvstore_fields(const Config*) { return kvstore::fields("limit", &Config::limit); }
void open() { kvstore::DurableMap<int, Config> all{"all.json"}; }

#elif CASE == 9
struct Person {
  int age() const { return 0; }
};
// says first: data members, not functions
constexpr auto kvstore_fields(const Person*) { return kvstore::fields("age", &Person::age); }
void open() { kvstore::DurableMap<int, Person> all{"all.json"}; }

#elif CASE == 10
struct Item {
  int price = 0;
};
auto kvstore_fields(const Item*) { return kvstore::fields("price", &Item::price); }
// says first: Item | is no constant: write constexpr
void open() { kvstore::DurableMap<int, Item> items{"items.json"}; }

#elif CASE == 11
// says first: a view or reference cannot be stored
void open() { kvstore::DurableMap<std::string, int&> ages{"ages.json"}; }

#elif CASE == 12
// says first: an array of this form cannot be stored
void open() { kvstore::DurableMap<std::string, int[3]> triples{"triples.json"}; }

#elif CASE == 13
// says first: For keys alone, store a bool with each
void open() { kvstore::DurableMap<std::string, void> names{"names.json"}; }

#elif CASE == 14
// also: movable without throwing
// says first: name the type of the key without const
void open() { kvstore::DurableMap<const std::string, int> ages{"ages.json"}; }

#elif CASE == 15
struct Later;
// says first: Later | only declared here. Include the header that defines it
void open() { kvstore::DurableMap<std::string, Later> all{"all.json"}; }
#endif
