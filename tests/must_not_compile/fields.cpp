// SPDX-License-Identifier: MIT

// Lists of fields that must not compile; tests/CMakeLists.txt chooses one and says what the compiler's
// message must contain. CORRECT is one that compiles.

#include <string>

#if defined(CORRECT) || defined(MEMBER_WITHOUT_CODEC) || defined(NO_DEFAULT_CONSTRUCTOR)
#include "kvstore/codec.hpp"
#else
#include "kvstore/fields.hpp"  // which is all that a list needs
#endif

struct User {
  std::string name;
  int age = 0;
  const int id = 0;
  int born() const { return 0; }
  int* pointer = nullptr;
};

constexpr auto kvstore_fields(const User*) {
#if defined(SAME_NAME)
  return kvstore::fields("name", &User::name, "name", &User::age);
#elif defined(INVALID_UTF8)
  return kvstore::fields("n\xFFme", &User::name);
#elif defined(NAME_WITHOUT_MEMBER)
  return kvstore::fields("name", &User::name, "age");
#elif defined(MEMBER_FUNCTION)
  return kvstore::fields("born", &User::born);
#elif defined(CONST_MEMBER)
  return kvstore::fields("id", &User::id);
#elif defined(MEMBER_WITHOUT_CODEC)
  return kvstore::fields("pointer", &User::pointer);
#else
  return kvstore::fields("name", &User::name, "age", &User::age);
#endif
}

#if defined(NO_DEFAULT_CONSTRUCTOR)
struct Point {
  explicit Point(int given) : x{given} {}
  int x;
};
constexpr auto kvstore_fields(const Point*) { return kvstore::fields("x", &Point::x); }
using Type = Point;
#else
using Type = User;
#endif

constexpr auto kList = kvstore_fields(static_cast<Type*>(nullptr));

int main() {
#if defined(CORRECT) || defined(MEMBER_WITHOUT_CODEC) || defined(NO_DEFAULT_CONSTRUCTOR)
  kvstore::JsonReader in{"{}"};
  kvstore::JsonWriter out;
  kvstore::Codec<Type>::encode(kvstore::Codec<Type>::decode(in), out);
#endif
}
