// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/support/data.hpp"
#include "kvstore/fields.hpp"

namespace bench {

/// A type of a user's own, which nlohmann/json converts.
struct Person {
  std::string name;
  int age = 0;
  std::string email;
  std::vector<std::string> tags;
  double score = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Person, name, age, email, tags, score)

/// The same, with its fields listed.
struct ListedPerson : Person {};
constexpr auto kvstore_fields(const ListedPerson*) {
  return kvstore::fields("name", &Person::name, "age", &Person::age, "email", &Person::email, "tags",
                         &Person::tags, "score", &Person::score);
}

[[nodiscard]] inline Person person_of(std::size_t index) {
  return {.name = text_of(index, 20),
          .age = static_cast<int>(scatter(index) % 100),
          .email = text_of(index + 1, 24),
          .tags = {text_of(index + 2, 6), text_of(index + 3, 6), text_of(index + 4, 6)},
          .score = static_cast<double>(scatter(index) >> 11) * 0x1p-53};
}

}  // namespace bench
