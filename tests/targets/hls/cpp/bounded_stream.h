#ifndef X_HLS_STREAM_H
#define X_HLS_STREAM_H
// hls::stream for tests: holds so many words, and blocks. A deadlock ends the program with status 3.

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace bounded {

struct State {
    std::mutex mutex;
    std::condition_variable changed;
    unsigned long epoch = 0;
    int alive = 1, waiting = 0; // the thread that starts the others lives too
    std::vector<std::thread> threads;
};

inline State &state() {
    static State *shared = new State;
    return *shared;
}

inline void moved() {
    state().waiting = 0;
    state().epoch++;
    state().changed.notify_all();
}

inline void stuck() {
    if (state().alive > 0 && state().waiting == state().alive) {
        std::puts("deadlock");
        std::fflush(stdout);
        std::_Exit(3);
    }
}

template <class Ready> void wait(std::unique_lock<std::mutex> &lock, Ready ready) {
    while (!ready()) {
        const unsigned long epoch = state().epoch;
        state().waiting++;
        stuck();
        state().changed.wait(lock, [&] { return state().epoch != epoch; });
    }
}

inline void start(std::function<void()> layer) {
    std::lock_guard<std::mutex> lock(state().mutex);
    state().alive++;
    state().threads.emplace_back([layer] {
        layer();
        std::lock_guard<std::mutex> lock(state().mutex);
        state().alive--;
        stuck();
    });
}

inline void join() {
    {
        std::lock_guard<std::mutex> lock(state().mutex);
        state().alive--;
        stuck();
    }
    for (std::thread &thread : state().threads) {
        thread.join();
    }
    state().threads.clear();
    state().alive = 1;
    state().waiting = 0;
}

inline size_t most() {
    const char *text = std::getenv("MOST_WORDS");
    return text == nullptr ? ~size_t(0) : std::strtoul(text, nullptr, 10);
}

inline size_t depth_of(const std::string &name) {
    const std::map<std::string, size_t> depths = {
        // DEPTHS
    };
    const auto found = depths.find(name);
    return found == depths.end() ? ~size_t(0) : std::min(found->second, most()); // network's inputs and outputs: all
}

} // namespace bounded

namespace hls {

template <class T> class stream {
  public:
    stream() : depth(~size_t(0)) {}
    stream(const char *name) : depth(bounded::depth_of(name)) {}
    void write(const T &value) {
        std::unique_lock<std::mutex> lock(bounded::state().mutex);
        bounded::wait(lock, [&] { return words.size() < depth; });
        words.push_back(value);
        bounded::moved();
    }
    T read() {
        std::unique_lock<std::mutex> lock(bounded::state().mutex);
        bounded::wait(lock, [&] { return !words.empty(); });
        const T value = words.front();
        words.pop_front();
        bounded::moved();
        return value;
    }
    bool empty() {
        std::lock_guard<std::mutex> lock(bounded::state().mutex);
        return words.empty();
    }
    size_t size() {
        std::lock_guard<std::mutex> lock(bounded::state().mutex);
        return words.size();
    }
    void operator<<(const T &value) { write(value); }
    void operator>>(T &value) { value = read(); }

  private:
    std::deque<T> words;
    const size_t depth;
};

} // namespace hls

#endif
