// SPDX-License-Identifier: MIT
#pragma once

// The codec of types whose fields are listed by `kvstore::fields`.

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "kvstore/detail/codec/base.hpp"
#include "kvstore/error.hpp"
#include "kvstore/fields.hpp"  // IWYU pragma: export
#include "kvstore/json_reader.hpp"
#include "kvstore/json_text.hpp"
#include "kvstore/json_writer.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Whether the compiler can evaluate the list.
template <class T>
concept HasConstantList =
    requires { typename std::bool_constant<(kvstore_fields(static_cast<T*>(nullptr)), true)>; };

template <class T>
[[nodiscard]] constexpr auto field_list_of() {
  if constexpr (requires { Codec<T>::kFields; }) {
    return Codec<T>::kFields;
  } else {
    static_assert(HasConstantList<T>,
                  "kvstore: the list of fields of this type is no constant: write constexpr auto "
                  "kvstore_fields(const T*), and mend the list if there are errors in it above");
    if constexpr (HasConstantList<T>) {
      return kvstore_fields(static_cast<T*>(nullptr));
    } else {
      return make_list<false>();  // which saves further messages
    }
  }
}

template <class T>
inline constexpr auto kFieldsOf = field_list_of<T>();

[[nodiscard]] inline std::string in_field(std::string_view name, const char* message) {
  return std::string{"in field \""}.append(name).append("\": ").append(message);
}

/// The name of a type, for messages.
template <class T>
[[nodiscard]] constexpr std::string_view name_of_type() noexcept {
  const std::string_view text = __PRETTY_FUNCTION__;
  constexpr std::string_view kBefore = "T = ";
  const std::size_t start = text.find(kBefore) + kBefore.size();
  return text.substr(start, text.find_first_of(";]", start) - start);
}

[[noreturn]] inline void throw_unlisted(std::size_t offset, std::string_view name, std::string_view type) {
  JsonReader::fail_at(offset, std::string{"member \""}
                                  .append(name)
                                  .append("\" is not in the list of members of ")
                                  .append(type)
                                  .append(": list it, or append .drop_unknown() or .keep_unknown(...) to "
                                          "kvstore::fields(...)"));
}

/// Names of members that match no field, if these are dropped. A duplicate among them is an error as
/// elsewhere. A template only so that programs that list no fields do not pay for its compilation.
template <class Name = std::string>
class UnknownNames {
 public:
  void add(std::string_view name, std::size_t offset) { names_.emplace_back(name, offset); }

  void check_duplicates() {
    std::sort(names_.begin(), names_.end());
    const auto twice = std::adjacent_find(names_.begin(), names_.end(),
                                          [](const auto& a, const auto& b) { return a.first == b.first; });
    if (twice != names_.end()) throw_second(std::next(twice)->second);
  }

  [[noreturn]] static void throw_second(std::size_t offset) {
    JsonReader::fail_at(offset, "expected no second value for the same key of an object");
  }

 private:
  std::vector<std::pair<Name, std::size_t>> names_;
};

/// The list of `T`'s fields, taken apart.
template <class T>
struct FieldsOf {
  static constexpr const auto& kEach = kFieldsOf<T>.each;
  static constexpr std::size_t kCount = kFieldsOf<T>.kCount;
  static constexpr bool kMayBeMissing = kFieldsOf<T>.kMayBeMissing;
  static constexpr const auto& kUnknown = kFieldsOf<T>.unknown;
  using Unknown = std::remove_cvref_t<decltype(kUnknown)>;
  static constexpr bool kRefuses = std::same_as<Unknown, RefusedMembers>;
  static constexpr bool kDrops = std::same_as<Unknown, DroppedMembers>;
  static constexpr auto kIndices = std::make_index_sequence<kCount>{};
  static constexpr auto kNames = std::apply(
      [](const auto&... field) { return std::array<std::string_view, kCount>{field.name.plain()...}; },
      kEach);

  template <std::size_t kIndex>
  using Member = std::remove_volatile_t<
      typename std::tuple_element_t<kIndex, std::remove_cvref_t<decltype(kEach)>>::MemberType>;
  template <std::size_t kIndex>
  static constexpr std::string_view kText = std::get<kIndex>(kEach).name.text();
  template <std::size_t kIndex>
  static constexpr auto kPointer = std::get<kIndex>(kEach).pointer;
};

/// Reads one object into the fields of one `T`.
template <class T>
class FieldsReader {
 public:
  FieldsReader(JsonReader& in, T& value) noexcept : in_{in}, value_{value} {}

  void read() {
    in_.skip_space();
    const std::size_t start = in_.position();
    const NestingGuard depth{in_};
    try {
      read_members();
    } catch (const ParseError& error) {
      if (at_ == kCount) throw;
      throw ParseError{error.offset(), in_field(kNames[at_], error.what())};
    }
    if constexpr (Fields::kDrops) unknown_.check_duplicates();
    if constexpr (!Fields::kMayBeMissing) require_all(start);
  }

 private:
  using Fields = FieldsOf<T>;
  static constexpr std::size_t kCount = Fields::kCount;
  static constexpr const auto& kNames = Fields::kNames;

  void read_members() {
    if (!read_in_order(Fields::kIndices)) {
      in_.expect('{');
      if (in_.try_consume('}')) return;
      read_member();
    }
    while (in_.try_consume(',')) read_member();
    if (!in_.try_consume('}')) in_.fail("expected ',' or '}'");
  }

  /// Reads for as long as the text is exactly the output of `encode`. @returns false if not even the first
  /// field was read.
  template <std::size_t... kIndices>
  bool read_in_order(std::index_sequence<kIndices...>) {
    std::size_t read = 0;
    static_cast<void>(
        ((in_.try_text(Fields::template kText<kIndices>) && (read_value<kIndices>(*this), ++read != 0)) &&
         ...));
    return read != 0;
  }

  /// Reads a member that may be any of the fields, or none.
  void read_member() {
    using Read = void (*)(FieldsReader&);
    static constexpr auto kReaders = []<std::size_t... kIndices>(std::index_sequence<kIndices...>) {
      return std::array<Read, kCount>{&FieldsReader::read_value<kIndices>...};
    }(Fields::kIndices);
    in_.skip_space();
    const std::size_t offset = in_.position();
    const std::string_view name = in_.string();
    const auto index =
        static_cast<std::size_t>(std::find(kNames.begin(), kNames.end(), name) - kNames.begin());
    if (index == kCount) return read_unknown(name, offset);
    if (seen_[index]) UnknownNames<>::throw_second(offset);
    in_.expect(':');
    kReaders[index](*this);
  }

  void read_unknown(std::string_view name, std::size_t offset) {
    if constexpr (Fields::kRefuses) {
      throw_unlisted(offset, name, name_of_type<T>());
    } else if constexpr (Fields::kDrops) {
      unknown_.add(name, offset);
      in_.expect(':');
      in_.skip_value();
    } else {
      const auto [kept, is_first] = (value_.*Fields::kUnknown.pointer).try_emplace(std::string{name});
      if (!is_first) UnknownNames<>::throw_second(offset);
      in_.expect(':');
      in_.skip_space();
      kept->second = in_.skip_value();
    }
  }

  template <std::size_t kIndex>
  static void read_value(FieldsReader& self) {
    self.at_ = kIndex;
    using Member = typename Fields::template Member<kIndex>;
    if constexpr (!std::is_array_v<Member>) {  // which has no codec; one error for it is enough
      self.value_.*Fields::template kPointer<kIndex> = Codec<Member>::decode(self.in_);
    }
    self.seen_[kIndex] = true;
    self.at_ = kCount;
  }

  void require_all(std::size_t start) const {
    const auto missing =
        static_cast<std::size_t>(std::find(seen_.begin(), seen_.end(), false) - seen_.begin());
    if (missing == kCount) return;
    JsonReader::fail_at(
        start,
        std::string{"expected a member \""}
            .append(kNames[missing])
            .append("\" in this object: add it, or list the members by kvstore::fields_with_default(...)"));
  }

  JsonReader& in_;
  T& value_;
  std::size_t at_ = kCount;  // the field being read, for messages
  std::array<bool, kCount> seen_{};
  [[no_unique_address]] std::conditional_t<Fields::kDrops, UnknownNames<>, RefusedMembers> unknown_;
};

/// Writes the fields of one `T` as one object.
template <class T>
class FieldsWriter {
 public:
  FieldsWriter(JsonWriter& out, const T& value) noexcept : out_{out}, value_{value} {}

  void write() {
    const NestingGuard depth{out_};
    try {
      write_members(Fields::kIndices);
    } catch (const ValueError& error) { throw ValueError{in_field(Fields::kNames[at_], error.what())}; }
    if constexpr (!Fields::kRefuses && !Fields::kDrops) write_kept();
    out_.raw('}');
  }

 private:
  using Fields = FieldsOf<T>;

  template <std::size_t... kIndices>
  void write_members(std::index_sequence<kIndices...>) {
    if constexpr (sizeof...(kIndices) == 0) out_.raw('{');
    (write_member<kIndices>(), ...);
  }

  template <std::size_t kIndex>
  void write_member() {
    at_ = kIndex;
    out_.raw(Fields::template kText<kIndex>);
    Codec<typename Fields::template Member<kIndex>>::encode(value_.*Fields::template kPointer<kIndex>, out_);
  }

  void write_kept() {
    char before = Fields::kCount == 0 ? ' ' : ',';
    for (const auto& [name, text] : value_.*Fields::kUnknown.pointer) {
      const auto refuse = [&kept = name](const char* message) {
        throw ValueError{std::string{"kept member \""}.append(kept).append("\": ").append(message)};
      };
      if (std::find(Fields::kNames.begin(), Fields::kNames.end(), name) != Fields::kNames.end())
        refuse("a field has the same name");
      try {
        JsonReader json{text};
        json.skip_value();
        json.finish();
      } catch (const ParseError& error) { refuse(error.what()); }
      out_.raw(std::exchange(before, ','));
      out_.string(name);
      out_.raw(':');
      std::string line{text};  // outside strings, where JSON allows no line break
      std::replace(line.begin(), line.end(), '\n', ' ');
      std::replace(line.begin(), line.end(), '\r', ' ');
      out_.raw(line);
    }
  }

  JsonWriter& out_;
  const T& value_;
  std::size_t at_ = 0;  // the field being written, for messages
};

}}}  // namespace kvstore::v1::detail

namespace kvstore { inline namespace v1 {

/// The codec of a type whose fields are listed: see `kvstore::fields`. Derive from it for a type that is not
/// yours; the codec then lists the fields as its member `kFields`.
template <class T>
struct FieldCodec {
  static constexpr auto kKind = detail::JsonKind::object;

  static void encode(const T& value, JsonWriter& out) { detail::FieldsWriter<T>{out, value}.write(); }
  static T decode(JsonReader& in) {
    static_assert(std::default_initializable<T>,
                  "kvstore: a type with a list of fields needs a default constructor");
    T value{};
    detail::FieldsReader<T>{in, value}.read();
    return value;
  }
};

/// Types with a list of fields as an object.
template <detail::ListsItsFields T>
struct Codec<T> : FieldCodec<T> {};

}}  // namespace kvstore::v1
