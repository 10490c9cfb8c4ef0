// What a pure function said, for launchers that ask it the same things again and again: a choice of tiles
// takes microseconds, and a net has a handful of layers.
//
//     thread_local Memo<Key, Value> memo;
//     return memo.of(key, [&] { return ...; });
//
// thread_local, so that no thread waits for another, or sees what another is writing.
#pragma once

#include <array>

namespace alexnet {

template <class Key, class Value>
class Memo {
 public:
  // What compute() returned for an equal key, or returns now. An exception is not remembered.
  template <class Compute>
  Value of(const Key& key, const Compute& compute) {
    for (int i = 0; i < known_; ++i) {
      if (entries_[i].key == key) return entries_[i].value;
    }
    const Entry entry{key, compute()};
    entries_[next_] = entry;
    next_ = (next_ + 1) % kMost;
    if (known_ < kMost) ++known_;
    return entry.value;
  }

 private:
  static constexpr int kMost = 64;  // then the oldest goes
  struct Entry {
    Key key;
    Value value;
  };

  std::array<Entry, kMost> entries_{};
  int known_ = 0;
  int next_ = 0;
};

}  // namespace alexnet
