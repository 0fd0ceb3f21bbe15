#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <vector>

/// Functions that take turns on one thread. Made by makecontext; from then on they change places by
/// _setjmp and _longjmp, which make no system call.
namespace fiber {

constexpr size_t kStackBytes = 64 << 10;

class Group;
inline Group* current = nullptr;

class Group {
 public:
  /// Groups that are there at the same time have different numbers.
  Group(int number, int count, const std::function<void(int)>& body) : body_(body), fibers_(count) {
    static std::map<int, std::vector<std::unique_ptr<char[]>>> kept;  // for those that come later
    std::vector<std::unique_ptr<char[]>>& stacks = kept[number];
    while (stacks.size() < static_cast<size_t>(count)) {
      stacks.emplace_back(new char[kStackBytes]);
    }
    for (int i = 0; i < count; ++i) fibers_[i].stack = stacks[i].get();
  }

  bool finished(int i) const { return fibers_[i].finished; }

  /// Runs fiber i until it yields or ends.
  void resume(int i) {
    current = this;
    running_ = i;
    if (_setjmp(scheduler_) != 0) return;
    Fiber& fiber = fibers_[i];
    if (fiber.started) _longjmp(fiber.place, 1);
    fiber.started = true;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = fiber.stack;
    context.uc_stack.ss_size = kStackBytes;
    context.uc_link = nullptr;
    makecontext(&context, enter, 0);
    setcontext(&context);
  }

  void yield() {
    if (_setjmp(fibers_[running_].place) == 0) _longjmp(scheduler_, 1);
  }

 private:
  struct Fiber {
    jmp_buf place;
    char* stack = nullptr;
    bool started = false, finished = false;
  };

  static void enter() {
    Group& group = *current;
    group.body_(group.running_);
    group.fibers_[group.running_].finished = true;
    _longjmp(group.scheduler_, 1);
  }

  const std::function<void(int)>& body_;
  std::vector<Fiber> fibers_;
  jmp_buf scheduler_;
  int running_ = 0;
};

inline void yield() { current->yield(); }

}  // namespace fiber
