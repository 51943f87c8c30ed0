// SPDX-License-Identifier: MIT
#pragma once

// A vector in blocks of one size. Once the first block is full, growing moves no element: no insert waits for
// others to be moved, and at most one block is partly empty. Within a block, elements are contiguous, which
// is all that a scan needs.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <iterator>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace kvstore { inline namespace v1 { namespace detail {

template <class T>
class BlockVector {
 public:
  static_assert(std::is_nothrow_move_constructible_v<T>);

  /// Elements of a block: a power of two, so that finding one is a shift.
  static constexpr std::size_t kBlock = std::bit_floor(std::max<std::size_t>((16 << 10) / sizeof(T), 1));

  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = const T*;
    using reference = const T&;

    Iterator() = default;
    Iterator(const BlockVector& of, std::size_t at) noexcept : of_{&of}, at_{at} {}
    reference operator*() const noexcept { return (*of_)[at_]; }
    pointer operator->() const noexcept { return &(*of_)[at_]; }
    Iterator& operator++() noexcept { return ++at_, *this; }
    Iterator operator++(int) noexcept { return {*of_, at_++}; }
    bool operator==(const Iterator&) const = default;

   private:
    const BlockVector* of_ = nullptr;
    std::size_t at_ = 0;
  };

  BlockVector() = default;
  BlockVector(const BlockVector&) = delete;
  BlockVector& operator=(const BlockVector&) = delete;
  BlockVector(BlockVector&& other) noexcept { swap(other); }
  BlockVector& operator=(BlockVector&& other) noexcept {
    BlockVector{std::move(other)}.swap(*this);
    return *this;
  }
  ~BlockVector() {
    while (size_ > 0) {
      if constexpr (requires(const T& t) { t.prefetch_owned(); }) {
        if (size_ > kAhead) (*this)[size_ - kAhead].prefetch_owned();
      }
      pop_back();
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] T& operator[](std::size_t i) noexcept { return blocks_[i / kBlock][i % kBlock]; }
  [[nodiscard]] const T& operator[](std::size_t i) const noexcept { return blocks_[i / kBlock][i % kBlock]; }
  [[nodiscard]] Iterator begin() const noexcept { return {*this, 0}; }
  [[nodiscard]] Iterator end() const noexcept { return {*this, size_}; }

  /// Makes room for exactly `count` elements in all. Strong.
  void reserve(std::size_t count) {
    if (capacity_ < kBlock && count > capacity_) move_first_block(first_block_for(count));
    while (capacity_ < count) {
      blocks_.push_back(allocate(kBlock));
      capacity_ += kBlock;
    }
  }

  /// Releases memory beyond `count` elements, but never below `size()`. Elements move only if all of them are
  /// in the first block. That block stays as it is if there is no memory for a smaller one.
  void shrink(std::size_t count) noexcept {
    count = std::max(count, size_);
    while (capacity_ > kBlock && capacity_ - kBlock >= count) {
      blocks_.pop_back();
      capacity_ -= kBlock;
    }
    if (capacity_ > kBlock || first_block_for(count) >= capacity_) return;
    try {
      move_first_block(first_block_for(count));
    } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): it is only larger than it need be
    }
  }

  /// Appends an element. Needs room.
  template <class... Args>
  T& emplace_back(Args&&... args) noexcept {
    T* const place = &(*this)[size_];
    std::construct_at(place, std::forward<Args>(args)...);
    ++size_;
    return *place;
  }

  void pop_back() noexcept { std::destroy_at(&(*this)[--size_]); }

 private:
  // Elements whose memory is requested before their turn to be destroyed.
  static constexpr std::size_t kAhead = 12;

  // Aligned to cache lines, so that an element of 64 bytes occupies one line and not two.
  static constexpr std::align_val_t kAlign{std::max<std::size_t>(alignof(T), 64)};

  struct Free {
    void operator()(T* block) const noexcept { ::operator delete(block, kAlign); }
  };
  using Block = std::unique_ptr<T[], Free>;

  [[nodiscard]] static Block allocate(std::size_t count) {
    return Block{static_cast<T*>(::operator new(count * sizeof(T), kAlign))};
  }

  // Sizes double, so a small table takes little memory.
  [[nodiscard]] static std::size_t first_block_for(std::size_t count) noexcept {
    constexpr std::size_t kMin = std::min<std::size_t>(4, kBlock);
    return std::min(std::bit_ceil(std::max(count, kMin)), kBlock);
  }

  void move_first_block(std::size_t count) {
    Block moved = allocate(count);
    if (blocks_.empty()) blocks_.emplace_back();
    for (std::size_t i = 0; i < size_; ++i) {
      std::construct_at(&moved[i], std::move(blocks_[0][i]));
      std::destroy_at(&blocks_[0][i]);
    }
    blocks_[0] = std::move(moved);
    capacity_ = count;
  }

  void swap(BlockVector& other) noexcept {
    blocks_.swap(other.blocks_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

  std::vector<Block> blocks_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}}}  // namespace kvstore::v1::detail
