// SPDX-License-Identifier: MIT

// Types that cannot be stored. The compiler must complain about each of them once, in the words that stand
// above the line.

#include <any>
#include <chrono>
#include <cstddef>
#include <functional>
#include <kvstore/kvstore.hpp>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// A struct without a list of its fields.
namespace no_list {
struct User {
  std::string name;
};
void open() {
  // says: User | this type has no list of its fields
  kvstore::DurableMap<std::string, User> users{"users.json"};
  users.upsert("ada", {"Ada"});
}
}  // namespace no_list

// The same, inside other types.
namespace no_list_in_container {
struct Line {
  std::string item;
};
using Orders = kvstore::DurableMap<int, std::map<std::string, std::vector<std::optional<Line>>>>;
// says: Line | this type has no list of its fields
void open() { Orders orders{"orders.json"}; }
}  // namespace no_list_in_container

// A struct without a list, as a key.
namespace key_without_list {
struct Place {
  int x;
  bool operator==(const Place&) const = default;
};
struct PlaceHash {
  std::size_t operator()(const Place& place) const { return std::hash<int>{}(place.x); }
};
// says: Place | this type has no list of its fields
void open() { kvstore::DurableMap<Place, int, PlaceHash> visits{"visits.json"}; }
}  // namespace key_without_list

// A member without a codec, in a struct of a struct.
namespace member {
struct Engine {
  int* parts = nullptr;
};
constexpr auto kvstore_fields(const Engine*) { return kvstore::fields("parts", &Engine::parts); }
struct Car {
  std::string name;
  std::vector<Engine> engines;
};
constexpr auto kvstore_fields(const Car*) {
  return kvstore::fields("name", &Car::name, "engines", &Car::engines);
}
// says: int* | Engine::parts | Car::engines | a pointer cannot
void open() { kvstore::DurableMap<int, Car> cars{"cars.json"}; }
}  // namespace member

// A private member without a codec.
namespace private_member {
class Account {
  friend constexpr auto kvstore_fields(const Account*) { return kvstore::fields("owner", &Account::owner_); }
  struct Owner {};
  Owner owner_;
};
// says: Account::Owner | Account::owner_ | no list of its fields
void open() { kvstore::DurableMap<int, Account> all{"all.json"}; }
}  // namespace private_member

// A pointer to a struct.
namespace pointer {
struct User {};
// says: User* | a pointer cannot be stored
void open() { kvstore::DurableMap<std::string, User*> users{"users.json"}; }
}  // namespace pointer

// A pointer to text, as a key.
namespace text_pointer {
// says: const char* | std::string for text
void open() { kvstore::DurableMap<const char*, int> ages{"ages.json"}; }
}  // namespace text_pointer

// A view of elements.
namespace view {
// says: span<int | a view or reference cannot
void open() { kvstore::DurableMap<int, std::span<int>> names{"names.json"}; }
}  // namespace view

// A view of text, as a key.
namespace text_view_key {
// says: string_view<char> | Store a std::string
void open() { kvstore::DurableMap<std::string_view, int> ages{"ages.json"}; }
}  // namespace text_view_key

// An array of the language, as a member.
namespace array {
struct Record {
  char name[16];
};
constexpr auto kvstore_fields(const Record*) { return kvstore::fields("name", &Record::name); }
// says: [16] | Record::name | std::array
void open() { kvstore::DurableMap<int, Record> records{"records.json"}; }
}  // namespace array

// A number for which JSON has no form.
namespace long_double {
// says: long double | store a double
void open() { kvstore::DurableMap<int, std::vector<long double>> rows{"rows.json"}; }
}  // namespace long_double

// A list of the fields of the base class only.
namespace list_of_base {
struct Person {
  std::string name;
};
constexpr auto kvstore_fields(const Person*) { return kvstore::fields("name", &Person::name); }
struct Student : Person {
  int year = 0;
};
// says: Student | list of fields of a base class
void open() { kvstore::DurableMap<int, Student> students{"students.json"}; }
}  // namespace list_of_base

// A list that takes a reference.
namespace list_by_reference {
struct User {
  std::string name;
};
constexpr auto kvstore_fields(const User&) { return kvstore::fields("name", &User::name); }
// says: User | takes a reference
void open() { kvstore::DurableMap<int, User> users{"users.json"}; }
}  // namespace list_by_reference

// A list that takes its type by value.
namespace list_by_value {
struct User {
  std::string name;
};
constexpr auto kvstore_fields(User) { return kvstore::fields("name", &User::name); }
// says: User | takes it by value
void open() { kvstore::DurableMap<int, User> users{"users.json"}; }
}  // namespace list_by_value

// A list in another namespace than the type.
namespace list_elsewhere {
namespace shop {
struct Item {
  std::string name;
};
}  // namespace shop
namespace shop::storage {
constexpr auto kvstore_fields(const Item*) { return kvstore::fields("name", &Item::name); }
}  // namespace shop::storage
// says: shop::Item | into the namespace of the type
void open() { kvstore::DurableMap<int, shop::Item> items{"items.json"}; }
}  // namespace list_elsewhere

// A list that is a member of the type.
namespace static_list {
struct Item {
  std::string name;
  static constexpr auto kvstore_fields(const Item*) { return kvstore::fields("name", &Item::name); }
};
void open() {
  static_cast<void>(Item::kvstore_fields(nullptr));
  // says: Item | make it a friend function
  kvstore::DurableMap<int, Item> items{"items.json"};
}
}  // namespace static_list

// A to_json without the header that it needs.
namespace to_json_without_include {
struct Item {
  int price = 0;
};
void to_json(nlohmann::json& json, const Item& item);
void from_json(const nlohmann::json& json, Item& item);
// says: Item | needs #include <nlohmann/json.hpp>
void open() { kvstore::DurableMap<int, Item> items{"items.json"}; }
}  // namespace to_json_without_include

// A type of the standard library for which there is no codec.
namespace standard_type {
// says: std::any | type of the standard library has no codec
void open() { kvstore::DurableMap<int, std::any> all{"all.json"}; }
}  // namespace standard_type

// A type whose codec stands in another header.
namespace other_header {
// says: shared_ptr<int> | #include <kvstore/more_codecs.hpp>
void open() { kvstore::DurableMap<int, std::shared_ptr<int>> all{"all.json"}; }
}  // namespace other_header

// A point in time with a fraction of a unit.
namespace time_in_fractions {
using Time = std::chrono::sys_time<std::chrono::duration<double>>;
// says: time_point | counted in fractions has no codec
void open() { kvstore::DurableMap<int, Time> times{"times.json"}; }
}  // namespace time_in_fractions

// An array behind a pointer.
namespace array_pointer {
// says: unique_ptr<int | an array of this form
void open() { kvstore::DurableMap<int, std::unique_ptr<int[]>> rows{"rows.json"}; }
}  // namespace array_pointer

// The mistake is found whatever the storage, and wherever the store is made.
namespace storage_of_own {
struct User {};
using Users = kvstore::DurableMap<int, User>;
std::unique_ptr<Users> open() {
  // says: User | no list of its
  return std::make_unique<Users>(std::make_unique<kvstore::JsonJournal>("users.json"));
}
}  // namespace storage_of_own

// A key without a hash.
namespace hash {
struct Place {
  int x = 0;
  bool operator==(const Place&) const = default;
};
constexpr auto kvstore_fields(const Place*) { return kvstore::fields("x", &Place::x); }
// says: Place | this key has no hash
void open() { kvstore::DurableMap<Place, int> visits{"visits.json"}; }
}  // namespace hash

// Without a store: the line that uses the codec.
namespace codec_alone {
struct User {};
// says: User | this type has no list of its fields
void write(kvstore::JsonWriter& out) { kvstore::Codec<User>::encode({}, out); }
}  // namespace codec_alone
