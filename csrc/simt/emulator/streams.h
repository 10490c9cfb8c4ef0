// Streams and events of the emulator.
//
// Work on a stream is put in a queue and runs when somebody synchronises, in an order that the streams,
// events and host calls allow: as it was queued (forward), as late as possible first (reverse), or by lot
// (random:SEED). A missing wait shows as a wrong result in one of them, and the race build reports it with
// both lines in any. Streams do not wait for stream 0, nor it for them (cudaStreamNonBlocking). Stream 0 runs
// its work at once.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "simt/emulator/emulator.h"

namespace simt {

namespace emulator {

// How far each stream is known to have come: that many of its operations have ended. Stream 0 stands for the
// host too.
using Clock = std::vector<std::uint64_t>;

// One piece of work, and what has ended before it begins.
struct Operation {
  std::size_t stream = 0;    // its place in clocks
  std::uint64_t number = 0;  // 1, 2, 3 ... on its stream
  Clock after;
  int device = -1;
  std::string what;  // "the kernel launched at relu.cu:120", for reports
};

using Work = std::function<void(const Operation&)>;

// Runs the work now (stream 0) or queues it.
void submit(stream_t stream, std::string what, Work work);

// The host does something at once, on stream 0, with memory of any device.
Operation host_operation(std::string what);

}  // namespace emulator

// Runs what must run before the stream, or every stream of this CPU thread's device, is empty. Throws what
// the work threw; all that was still queued is dropped then.
void synchronize(stream_t stream);
void synchronize();

class Event;

class Stream {
 public:
  Stream();  // on the device of this CPU thread
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  operator stream_t() const { return handle_; }
  void synchronize() const { simt::synchronize(handle_); }
  // What is queued from here on runs after the work that the event has recorded. Nothing recorded: no wait.
  void wait(const Event& event) const;

 private:
  stream_t handle_;
};

class Event {
 public:
  // Stands for all that is queued on the stream so far.
  void record(stream_t stream);
  // Runs what must run before the recorded work has ended.
  void synchronize() const;

 private:
  friend class Stream;
  std::size_t stream_ = 0;
  std::uint64_t number_ = 0;
  emulator::Clock clock_;
};

}  // namespace simt
