// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <vector>

namespace kvstore { inline namespace v1 { namespace detail {

/// A stack whose first elements need no allocation.
template <class Element>
class ShallowStack {
 public:
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] Element& top() noexcept { return size_ <= first_.size() ? first_[size_ - 1] : more_.back(); }
  void push(const Element& element) {
    if (size_ < first_.size())
      first_[size_] = element;
    else
      more_.push_back(element);
    ++size_;
  }
  void pop() noexcept {
    if (size_ > first_.size()) more_.pop_back();
    --size_;
  }

 private:
  std::array<Element, 12> first_;
  std::vector<Element> more_;
  std::size_t size_ = 0;
};

}}}  // namespace kvstore::v1::detail
