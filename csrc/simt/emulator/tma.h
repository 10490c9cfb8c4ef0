// The engine that copies boxes of tensors between global and shared memory (cp.async.bulk.tensor in PTX).
//
// A copy is issued by one thread and done later: in a forward schedule when nobody can go on without it, in a
// reverse one at once, in a random one at any time between. Loads give their bytes to an mbarrier. Stores
// form groups of their thread; they read shared memory and write the tensor in two steps.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <vector>

#include "simt/emulator/address_space.h"
#include "simt/emulator/hopper_runtime.h"
#include "simt/emulator/mbarrier.h"
#include "simt/emulator/race.h"
#include "simt/emulator/tensor_map.h"

namespace simt::emulator {

class BulkCopies final : public Background {
 public:
  BulkCopies(Scheduler& scheduler, const SharedMemory& shared, Mbarriers& mbarriers)
      : scheduler_(scheduler), shared_(shared), mbarriers_(mbarriers) {}

  void begin_block(RaceChecker* races, int device);
  void end_block();  // what is still to be written is

  // By the running thread; see hopper.h.
  void load(void* to, const TensorMap& map, void* barrier, const int* at, int rank, Site site);
  void store(const TensorMap& map, const void* from, const int* at, int rank, Site site);
  void commit();
  void wait(int groups, StoreWait until);
  void ended() {
    if (!threads_.empty()) check_waited();
  }

  bool advance(Random* random) override;

 private:
  enum class Step { issued, read, written };  // of a store

  struct Copy {
    bool load = false;
    Step step = Step::issued;
    bool read_awaited = false;  // its thread has waited until it had read
    TensorMap map{};
    std::array<int, 5> at{};
    unsigned char* shared = nullptr;
    int barrier = 0;  // of a load
    int thread = 0;
    int group = 0;                    // of a store
    std::vector<unsigned char> data;  // of a store: its source as it was issued
    Site site;
    Knowledge known;  // in the race build
  };
  // A step of a store that was done at `time`.
  struct Done {
    EngineKind kind;
    int group;
    std::uint32_t time;
  };
  struct ThreadState {
    int committed = 0;  // groups
    int open = 0;       // stores since then
    int read = 0;       // groups known to have read
    Site latest;
    std::vector<Done> done;  // in the race build, until a wait
  };

  Copy begin(const TensorMap& map, const void* shared, const int* at, int rank, const char* what, Site site);
  void enqueue(Copy copy);
  void check_global(const Copy& copy, const BoxRow& row);
  void run_load(const Copy& copy);
  void read_source(const Copy& copy);
  void check_waited() const;
  void check_source(const Copy& copy) const;
  void write_target(const Copy& copy);
  void advance_store(Copy& copy);
  void forget_done_stores();
  EngineWork begin_work(const Copy& copy, EngineKind kind);

  Scheduler& scheduler_;
  const SharedMemory& shared_;
  Mbarriers& mbarriers_;
  RaceChecker* races_ = nullptr;
  int device_ = kNoDevice;
  std::deque<Copy> loads_, stores_;
  std::map<int, ThreadState> threads_;  // those that store
  Region region_;  // the latest that was looked up, and the state of the address space then
  bool known_ = false;
  std::uint64_t version_ = ~std::uint64_t{0};
};

}  // namespace simt::emulator
