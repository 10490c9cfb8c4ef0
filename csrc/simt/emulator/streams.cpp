// Queues of work, the order between them, and the choice of what runs next.

#include "simt/emulator/streams.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <mutex>

#include "simt/emulator/address_space.h"
#include "simt/emulator/memory.h"
#include "simt/emulator/settings.h"

namespace simt {
namespace emulator {
namespace {

struct Item {
  Operation operation;
  std::uint64_t sequence = 0;  // in the order of queueing, over all streams
  // For a wait: the operation of another stream that must have ended.
  std::size_t waits_stream = 0;
  std::uint64_t waits_number = 0;
  Work work;
};

struct Queue {
  std::size_t place = 0;
  int device = kNoDevice;
  bool in_use = false;  // false: destroyed; what is queued still runs
  std::uint64_t queued = 0;
  std::uint64_t ended = 0;
  Clock clock;  // what has ended when all that is queued has
  std::deque<Item> items;
};

void raise_to(Clock& clock, const Clock& other) {
  if (clock.size() < other.size()) clock.resize(other.size());
  for (std::size_t i = 0; i < other.size(); ++i) clock[i] = std::max(clock[i], other[i]);
}

void set(Clock& clock, std::size_t place, std::uint64_t number) {
  if (clock.size() <= place) clock.resize(place + 1);
  clock[place] = number;
}

class Streams {
 public:
  static Streams& instance() {
    static Streams streams;
    return streams;
  }

  stream_t create(int device) {
    const std::lock_guard lock(mutex_);
    for (const auto& queue : queues_) {
      if (queue->in_use || !queue->items.empty()) continue;
      queue->in_use = true;
      queue->device = device;
      return queue.get();
    }
    queues_.push_back(std::make_unique<Queue>());
    queues_.back()->place = queues_.size();  // 0 is the host
    queues_.back()->device = device;
    queues_.back()->in_use = true;
    return queues_.back().get();
  }

  void destroy(stream_t stream) {
    const std::lock_guard lock(mutex_);
    find(stream).in_use = false;
  }

  Operation host(std::string what) {
    const std::lock_guard lock(mutex_);
    set(host_clock_, 0, ++host_number_);
    return {0, host_number_, host_clock_, kNoDevice, std::move(what)};
  }

  void enqueue(stream_t stream, std::string what, Work work) {
    const std::lock_guard lock(mutex_);
    Queue& queue = find(stream);
    Item& item = push(queue);
    item.operation.what = std::move(what);
    item.work = std::move(work);
  }

  void record(stream_t stream, std::size_t& place, std::uint64_t& number, Clock& clock) {
    const std::lock_guard lock(mutex_);
    if (stream == nullptr) {
      place = 0;
      number = host_number_;
      clock = host_clock_;
      return;
    }
    const Queue& queue = find(stream);
    place = queue.place;
    number = queue.queued;
    clock = queue.clock;
  }

  void wait(stream_t stream, std::size_t place, std::uint64_t number, const Clock& clock) {
    const std::lock_guard lock(mutex_);
    Queue& queue = find(stream);
    raise_to(queue.clock, clock);
    Item& item = push(queue);
    item.waits_stream = place;
    item.waits_number = number;
  }

  void synchronize(stream_t stream) {
    const std::lock_guard lock(mutex_);
    Queue& queue = find(stream);
    drain([&queue] { return queue.items.empty(); });
    raise_to(host_clock_, queue.clock);
  }

  void synchronize_event(std::size_t place, std::uint64_t number, const Clock& clock) {
    const std::lock_guard lock(mutex_);
    if (place == 0) return;
    const Queue& queue = *queues_[place - 1];
    drain([&] { return queue.ended >= number; });
    raise_to(host_clock_, clock);
  }

  void synchronize_device(int device) {
    const std::lock_guard lock(mutex_);
    const auto concerned = [device](const auto& queue) { return queue->device == device; };
    drain([&] {
      return std::all_of(queues_.begin(), queues_.end(),
                         [&](const auto& queue) { return !concerned(queue) || queue->items.empty(); });
    });
    for (const auto& queue : queues_) {
      if (concerned(queue)) raise_to(host_clock_, queue->clock);
    }
  }

 private:
  Queue& find(stream_t stream) {
    for (const auto& queue : queues_) {
      if (queue.get() == stream && queue->in_use) return *queue;
    }
    throw Error(
        "this is not a stream of the emulator, or it was destroyed; make one with simt::Stream, or use 0");
  }

  Item& push(Queue& queue) {
    // It begins after all the host has waited for and all that is before it on its stream.
    raise_to(queue.clock, host_clock_);
    set(queue.clock, queue.place, ++queue.queued);
    queue.items.emplace_back();
    Item& item = queue.items.back();
    item.sequence = ++sequence_;
    item.operation = {queue.place, queue.queued, queue.clock, queue.device, ""};
    return item;
  }

  bool can_run(const Item& item) const {
    if (item.waits_stream == 0) return true;  // the host's own work has ended
    return queues_[item.waits_stream - 1]->ended >= item.waits_number;
  }

  // The queue whose first item runs next. There is one: the item that was queued first of all waits for
  // nothing.
  Queue& choose(Random& random, Order order) {
    std::vector<Queue*> ready;
    for (const auto& queue : queues_) {
      if (!queue->items.empty() && can_run(queue->items.front())) ready.push_back(queue.get());
    }
    if (order == Order::random) return *ready[random.below(static_cast<std::uint32_t>(ready.size()))];
    const auto earlier = [](const Queue* a, const Queue* b) {
      return a->items.front().sequence < b->items.front().sequence;
    };
    const auto [first, last] = std::minmax_element(ready.begin(), ready.end(), earlier);
    return order == Order::forward ? **first : **last;
  }

  template <class Done>
  void drain(Done done) {
    const Schedule settings = schedule();
    Random random(settings.seed + ++drains_);
    while (!done()) {
      Queue& queue = choose(random, settings.order);
      Item item = std::move(queue.items.front());
      queue.items.pop_front();
      queue.ended = item.operation.number;
      if (!item.work) continue;
      try {
        item.work(item.operation);
      } catch (...) {
        drop_all();
        throw;
      }
    }
  }

  void drop_all() {
    for (const auto& queue : queues_) {
      queue->items.clear();
      queue->ended = queue->queued;
    }
  }

  std::mutex mutex_;  // held while queued work runs
  std::vector<std::unique_ptr<Queue>> queues_;
  Clock host_clock_;
  std::uint64_t host_number_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t drains_ = 0;
};

}  // namespace

Operation host_operation(std::string what) { return Streams::instance().host(std::move(what)); }

void submit(stream_t stream, std::string what, Work work) {
  if (stream != nullptr) {
    Streams::instance().enqueue(stream, std::move(what), std::move(work));
    return;
  }
  Operation operation = host_operation(std::move(what));
  operation.device = device();
  work(operation);
}

}  // namespace emulator

using emulator::Streams;

void synchronize(stream_t stream) {
  if (stream != nullptr) Streams::instance().synchronize(stream);
}
void synchronize() { Streams::instance().synchronize_device(device()); }

Stream::Stream() : handle_(Streams::instance().create(device())) {}
Stream::~Stream() { Streams::instance().destroy(handle_); }
void Stream::wait(const Event& event) const {
  Streams::instance().wait(handle_, event.stream_, event.number_, event.clock_);
}
void Event::synchronize() const { Streams::instance().synchronize_event(stream_, number_, clock_); }
void Event::record(stream_t stream) { Streams::instance().record(stream, stream_, number_, clock_); }

}  // namespace simt
