// SPDX-License-Identifier: MIT

// Your own types as values, and an enumeration as key: list a type's fields, which is fastest, or let
// nlohmann/json convert it.

#include <filesystem>
#include <fstream>
#include <iostream>
#include <kvstore/kvstore.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace library {

// [fields]
struct Member {
  std::string name;
  std::optional<std::string> phone;
  std::vector<std::string> borrowed;
};
constexpr auto kvstore_fields(const Member*) {
  return kvstore::fields("name", &Member::name, "phone", &Member::phone, "borrowed", &Member::borrowed);
}
// [/fields]

// [custom type]
struct Author {
  std::string name;
  int born;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Author, name, born)  // what nlohmann/json converts does as well

struct Book {
  std::string title;
  std::vector<Author> authors;
  std::optional<int> year;  // left out of the file when it is not known
};

void to_json(nlohmann::json& json, const Book& book) {
  json = {{"title", book.title}, {"authors", book.authors}};
  if (book.year) json["year"] = *book.year;
}

void from_json(const nlohmann::json& json, Book& book) {
  json.at("title").get_to(book.title);
  json.at("authors").get_to(book.authors);
  book.year = json.contains("year") ? std::optional{json["year"].get<int>()} : std::nullopt;
}

enum class Shelf { poetry, science };
NLOHMANN_JSON_SERIALIZE_ENUM(Shelf, {{Shelf::poetry, "poetry"}, {Shelf::science, "science"}})  // else: 0, 1
// [/custom type]

}  // namespace library

using library::Book;
using library::Member;
using library::Shelf;

using Books = kvstore::BatchPersistentKeyValueStore<std::string, Book>;
using Members = kvstore::BatchPersistentKeyValueStore<int, Member>;
using Shelves = kvstore::BatchPersistentKeyValueStore<Shelf, std::vector<std::string>>;

void fill() {
  Books books{"books.json"};
  books.create("sicp", {"Structure and Interpretation of Computer Programs",
                        {{"Harold Abelson", 1947}, {"Gerald Jay Sussman", 1947}},
                        1985});
  books.create("gilgamesh", {"The Epic of Gilgamesh", {}, std::nullopt});
  books.modify("sicp", [](Book& book) { book.year = 1996; });  // the second edition

  Shelves shelves{"shelves.json"};
  shelves.create(Shelf::science, {"sicp"});
  shelves.create(Shelf::poetry, {"gilgamesh"});

  Members members{"members.json"};
  members.create(7, {"Ada", "555-0100", {}});
  members.modify(7, [](Member& ada) { ada.borrowed.push_back("sicp"); });
}

void print(const Book& book) {
  std::cout << book.title << ", " << (book.year ? std::to_string(*book.year) : "undated") << '\n';
  for (const library::Author& author : book.authors)
    std::cout << "  by " << author.name << ", born " << author.born << '\n';
}

int main() {
  // Start afresh, so that this example prints the same each time.
  for (const char* file : {"books.json", "shelves.json", "members.json"}) std::filesystem::remove(file);
  fill();

  const Books books{"books.json"};
  const Shelves shelves{"shelves.json"};
  for (const Shelf shelf : {Shelf::poetry, Shelf::science})
    for (const std::string& id : shelves.read(shelf)) books.visit(id, print);  // no copy of the book is made
  for (const char* file : {"shelves.json", "members.json"})
    std::cout << '\n' << file << ":\n" << std::ifstream{file}.rdbuf();
}
