/* ring: layout and cell arithmetic of ring.h; no system calls, no waiting. */
#define _GNU_SOURCE
#include "ring/ring.h"

#include <string.h>
#include <unistd.h>

#include "ring/killpoint.h"

#define SMALLEST_PAGE 4096u

/* 4, 16 or 64 KiB: slots begin where the system can give memory back. */
static uint64_t page_bytes(void)
{
    const long bytes = sysconf(_SC_PAGESIZE);
    return bytes > (long)SMALLEST_PAGE ? (uint64_t)bytes : SMALLEST_PAGE;
}

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* Places of everything, 0 where the shape is empty or its size does not fit into 62 bits. */
static uint64_t lay_out(const ff_ring_shape *shape, ff_ring_header *header)
{
    if (shape->slots == 0 || shape->rows == 0 || shape->rows_per_cell == 0 || shape->rows_per_cell > shape->rows ||
        shape->workers == 0 || shape->workers > FF_MAX_WORKERS || shape->row_bytes == 0)
        return 0;
    const uint64_t page = page_bytes();
    if (shape->slots > FF_MAX_SLOTS || shape->rows > FF_MAX_ROWS || shape->row_bytes > (uint64_t)1 << 46)
        return 0;
    uint64_t slot_bytes, cells = (shape->rows + shape->rows_per_cell - 1) / shape->rows_per_cell;
    if (__builtin_mul_overflow((uint64_t)shape->rows, shape->row_bytes, &slot_bytes) || slot_bytes > (uint64_t)1 << 60)
        return 0;
    header->magic = FF_RING_MAGIC;
    header->shape = *shape;
    header->cells_per_slot = (uint32_t)cells;
    header->slot_stride = round_up(slot_bytes, page);
    header->table_at = page;
    header->cells_at = round_up(header->table_at + shape->workers * sizeof(ff_worker_entry), 64);
    header->descriptors_at = round_up(header->cells_at + shape->slots * cells * sizeof(uint64_t), 64);
    header->descriptor_stride = round_up(sizeof(ff_descriptor) + shape->rows * (sizeof(int64_t) + 1), 64);
    header->slots_at = round_up(header->descriptors_at + shape->slots * header->descriptor_stride, page);
    uint64_t slots_bytes;
    if (__builtin_mul_overflow(header->slot_stride, (uint64_t)shape->slots, &slots_bytes) ||
        slots_bytes > (uint64_t)1 << 61)
        return 0;
    header->total_bytes = header->slots_at + slots_bytes;
    return header->total_bytes;
}

uint64_t ff_ring_size(const ff_ring_shape *shape)
{
    ff_ring_header header;
    return lay_out(shape, &header);
}

static void view(ff_ring *ring, void *base)
{
    ff_ring_header *header = base;
    ring->base = base;
    ring->header = header;
    ring->table = (ff_worker_entry *)(void *)(ring->base + header->table_at);
    ring->cells = (ff_cell *)(void *)(ring->base + header->cells_at);
    ring->slots = header->shape.slots;
    ring->cells_per_slot = header->cells_per_slot;
    ring->rows = header->shape.rows;
    ring->rows_per_cell = header->shape.rows_per_cell;
    ring->workers = header->shape.workers;
    ring->row_bytes = header->shape.row_bytes;
    ring->slot_stride = header->slot_stride;
    ring->slots_at = header->slots_at;
    ring->descriptors_at = header->descriptors_at;
    ring->descriptor_stride = header->descriptor_stride;
}

int ff_ring_init(ff_ring *ring, void *base, const ff_ring_shape *shape)
{
    _Static_assert(sizeof(ff_worker_entry) == 128, "one worker's stores must not share a line with another's");
    _Static_assert(sizeof(ff_ring_header) <= SMALLEST_PAGE, "the header is one page");
    if (lay_out(shape, base) == 0)
        return -1;
    view(ring, base);
    for (uint32_t w = 0; w < ring->workers; w++)
        ff_note_set(&ring->table[w].sample, FF_NO_SAMPLE);
    return 0;
}

int ff_ring_attach(ff_ring *ring, void *base, uint64_t total)
{
    const ff_ring_header *header = base;
    ff_ring_header expected;
    if (total < SMALLEST_PAGE || header->magic != FF_RING_MAGIC || header->total_bytes != total ||
        lay_out(&header->shape, &expected) != total || expected.slots_at != header->slots_at)
        return -1;
    view(ring, base);
    return 0;
}

ff_descriptor *ff_ring_descriptor(const ff_ring *ring, uint32_t slot)
{
    return (ff_descriptor *)(void *)(ring->base + ring->descriptors_at + slot * ring->descriptor_stride);
}

int64_t *ff_ring_index(const ff_ring *ring, uint32_t slot)
{
    return (int64_t *)(void *)(ff_ring_descriptor(ring, slot) + 1);
}

uint8_t *ff_ring_status(const ff_ring *ring, uint32_t slot)
{
    return (uint8_t *)(ff_ring_index(ring, slot) + ring->rows);
}

uint8_t *ff_ring_row(const ff_ring *ring, uint32_t slot, uint32_t row)
{
    return ring->base + ring->slots_at + slot * ring->slot_stride + row * ring->row_bytes;
}

static ff_cell *slot_cells(const ff_ring *ring, uint32_t slot)
{
    return ring->cells + (size_t)slot * ring->cells_per_slot;
}

static uint32_t cells_for(const ff_ring *ring, uint32_t rows)
{
    return (rows + ring->rows_per_cell - 1) / ring->rows_per_cell;
}

/* ---- the consumer's side ---- */

void ff_ring_open(ff_ring *ring, uint32_t slot, uint32_t sequence, uint64_t epoch, uint32_t rows, uint16_t *generations,
                  unsigned addressee)
{
    ff_descriptor *descriptor = ff_ring_descriptor(ring, slot);
    descriptor->epoch = epoch;
    descriptor->sequence = sequence;
    descriptor->rows = rows;
    memset(ff_ring_status(ring, slot), 0, rows);
    ff_cell *cells = slot_cells(ring, slot);
    uint32_t used = cells_for(ring, rows);
    for (uint32_t c = 0; c < ring->cells_per_slot; c++) {
        generations[c]++;
        ff_cell_open(&cells[c], FF_CELL(c < used ? FF_OPEN : FF_FREE, c < used ? addressee : 0, generations[c], sequence));
    }
}

uint32_t ff_ring_sleepers(const ff_ring *ring)
{
    uint32_t asleep = 0;
    for (uint32_t w = 0; w < ring->workers; w++)
        asleep += ff_flag_look(&ring->table[w].asleep) != 0;
    return asleep;
}

int ff_ring_is_open(const ff_ring *ring)
{
    size_t all = (size_t)ring->slots * ring->cells_per_slot;
    for (size_t c = 0; c < all; c++) {
        uint64_t word = ff_cell_look(&ring->cells[c]);
        if (FF_CELL_STATE(word) == FF_OPEN && FF_CELL_OWNER(word) == 0)
            return 1;
    }
    return 0;
}

int ff_ring_owe(ff_ring *ring)
{
    if (ff_flag_look(&ring->header->owed))
        return 0;
    ff_flag_set(&ring->header->owed, 1);
    return 1;
}

void ff_ring_pay(ff_ring *ring)
{
    ff_flag_set(&ring->header->owed, 0);
}

int ff_ring_sleeper(const ff_ring *ring, int worker)
{
    for (uint32_t w = 0; w < ring->workers; w++)
        if ((worker < 0 || w == (uint32_t)worker) && ff_flag_look(&ring->table[w].asleep))
            return (int)w;
    return -1;
}

void ff_ring_rouse(ff_ring *ring, unsigned worker)
{
    ff_flag_set(&ring->table[worker].asleep, 0);
}

void ff_ring_set_waiting(ff_ring *ring, uint32_t waiting)
{
    ff_flag_set(&ring->header->waiting, waiting);
}

void ff_ring_set_stop(ff_ring *ring)
{
    ff_flag_set(&ring->header->stop, 1);
}

uint32_t ff_ring_take(ff_ring *ring, uint32_t slot, uint32_t rows, uint32_t *failed)
{
    ff_cell *cells = slot_cells(ring, slot);
    for (uint32_t c = 0; c < cells_for(ring, rows); c++) {
        uint64_t word = ff_cell_own(&cells[c]);
        ff_cell_set_own(&cells[c], FF_CELL(FF_LEASED, 0, FF_CELL_GENERATION(word), FF_CELL_SEQUENCE(word)));
    }
    const uint8_t *status = ff_ring_status(ring, slot);
    uint32_t count = 0;
    for (uint32_t r = 0; r < rows; r++)
        if (status[r] != FF_ROW_DONE)
            failed[count++] = r;
    return count;
}

void ff_ring_release(ff_ring *ring, uint32_t slot)
{
    ff_cell *cells = slot_cells(ring, slot);
    for (uint32_t c = 0; c < ring->cells_per_slot; c++) {
        uint64_t word = ff_cell_own(&cells[c]);
        ff_cell_set_own(&cells[c], FF_CELL(FF_FREE, 0, FF_CELL_GENERATION(word), FF_CELL_SEQUENCE(word)));
    }
}

/* Whether a cell of a batch that is open or was abandoned may have this word; where it may not, its owner in *suspect. */
static int plausible(const ff_ring *ring, uint64_t word, uint32_t sequence, uint16_t generation, unsigned *suspect)
{
    unsigned state = FF_CELL_STATE(word), owner = FF_CELL_OWNER(word);
    int owned = state == FF_WRITING || state == FF_READY;
    if (state <= FF_READY && FF_CELL_SEQUENCE(word) == sequence && FF_CELL_GENERATION(word) == generation &&
        owner <= ring->workers && !(owned && owner == 0))
        return 1;
    *suspect = owner <= ring->workers ? owner : 0;
    return 0;
}

int ff_ring_check(const ff_ring *ring, uint32_t slot, uint32_t sequence, uint32_t rows, const uint16_t *generations,
                  unsigned *suspect)
{
    ff_cell *cells = slot_cells(ring, slot);
    uint32_t used = cells_for(ring, rows);
    int complete = 1;
    for (uint32_t c = 0; c < used; c++) {
        uint64_t word = ff_cell_look(&cells[c]);
        unsigned state = FF_CELL_STATE(word);
        if (!plausible(ring, word, sequence, generations[c], suspect))
            return -1;
        if (state == FF_FREE) {
            *suspect = 0;
            return -1;
        }
        complete &= state == FF_READY;
    }
    return complete;
}

int ff_ring_ready(const ff_ring *ring, uint32_t slot, uint32_t *seen)
{
    ff_cell *cells = slot_cells(ring, slot);
    for (; *seen < ring->cells_per_slot; ++*seen) {
        unsigned state = FF_CELL_STATE(ff_cell_look(&cells[*seen]));
        if (state != FF_READY)
            return *seen > 0 && state == FF_FREE; /* cells past the last row are free */
    }
    return 1;
}

uint32_t ff_ring_complete(const ff_ring *ring)
{
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < ring->slots; slot++) {
        uint32_t seen = 0;
        count += ff_ring_ready(ring, slot, &seen) != 0;
    }
    return count;
}

int64_t ff_ring_withdraw(ff_ring *ring, uint32_t slot, uint32_t sequence, const uint16_t *generations, unsigned *suspect)
{
    ff_cell *cells = slot_cells(ring, slot);
    uint32_t writing = 0;
    int damaged = 0;
    for (uint32_t c = 0; c < ring->cells_per_slot; c++) {
        uint64_t word = ff_cell_look(&cells[c]);
        /* A failed exchange means that a worker claimed the cell in between: it is counted, and waited for. */
        while (FF_CELL_STATE(word) == FF_OPEN &&
               !ff_cell_change(&cells[c], &word,
                               FF_CELL(FF_FREE, 0, FF_CELL_GENERATION(word), FF_CELL_SEQUENCE(word))))
            ;
        damaged |= !plausible(ring, word, sequence, generations[c], suspect);
        writing += FF_CELL_STATE(word) == FF_WRITING;
    }
    return damaged ? -1 : (int64_t)writing;
}

uint32_t ff_ring_reopen(ff_ring *ring, unsigned owner, uint16_t *generations, const uint8_t *abandoned,
                        const uint16_t *addressees)
{
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < ring->slots; slot++) {
        ff_cell *cells = slot_cells(ring, slot);
        for (uint32_t c = 0; c < ring->cells_per_slot; c++) {
            uint64_t word = ff_cell_look(&cells[c]);
            if (FF_CELL_STATE(word) != FF_WRITING || FF_CELL_OWNER(word) != owner)
                continue;
            uint16_t generation = ++generations[(size_t)slot * ring->cells_per_slot + c];
            ff_cell_open(&cells[c], abandoned[slot] ? FF_CELL(FF_FREE, 0, generation, FF_CELL_SEQUENCE(word))
                                                    : FF_CELL(FF_OPEN, addressees[slot], generation,
                                                              FF_CELL_SEQUENCE(word)));
            count++;
        }
    }
    return count;
}

int ff_ring_writes(const ff_ring *ring, unsigned owner, uint32_t slot)
{
    const ff_cell *cells = slot_cells(ring, slot);
    for (uint32_t c = 0; c < ring->cells_per_slot; c++) {
        const uint64_t word = ff_cell_look(&cells[c]);
        if (FF_CELL_STATE(word) == FF_WRITING && FF_CELL_OWNER(word) == owner)
            return 1;
    }
    return 0;
}

int ff_ring_attached(const ff_ring *ring, unsigned worker)
{
    return ff_flag_look(&ring->table[worker].attached) != 0;
}

int ff_ring_sample_of(const ff_ring *ring, unsigned worker, uint32_t *sequence, uint32_t *row, uint64_t *started_ns)
{
    const uint64_t sample = ff_note_look(&ring->table[worker].sample);
    if (sample == FF_NO_SAMPLE)
        return 0;
    *sequence = (uint32_t)(sample >> 32);
    *row = (uint32_t)sample;
    *started_ns = ff_note_look(&ring->table[worker].started_ns);
    return 1;
}

void ff_ring_forget(ff_ring *ring, unsigned worker)
{
    ff_flag_set(&ring->table[worker].asleep, 0);
    ff_flag_set(&ring->table[worker].attached, 0);
    ff_note_set(&ring->table[worker].sample, FF_NO_SAMPLE);
}

ff_ring_totals ff_ring_total(const ff_ring *ring)
{
    ff_ring_totals all = {0};
    for (uint32_t w = 0; w < ring->workers; w++) {
        const ff_worker_entry *entry = &ring->table[w];
        all.samples += ff_counter_look(&entry->samples);
        all.bytes += ff_counter_look(&entry->bytes);
        all.read_ns += ff_counter_look(&entry->read_ns);
        all.work_ns += ff_counter_look(&entry->work_ns);
        all.idle_ns += ff_counter_look(&entry->idle_ns);
    }
    return all;
}

uint64_t ff_ring_kill_hits(const ff_ring *ring)
{
    return ff_counter_look(&ring->header->kill_hits);
}

/* ---- a worker's side ---- */

int ff_ring_claim(ff_ring *ring, unsigned owner, ff_claim *claim)
{
    size_t all = (size_t)ring->slots * ring->cells_per_slot;
    for (;;) {
        size_t found = all;
        uint64_t oldest = 0;
        for (size_t c = 0; c < all; c++) {
            uint64_t word = ff_cell_look(&ring->cells[c]);
            if (FF_CELL_STATE(word) != FF_OPEN || (FF_CELL_OWNER(word) != 0 && FF_CELL_OWNER(word) != owner))
                continue;
            /* Sequences wrap; no two in flight are 2^31 apart. */
            if (found == all || (int32_t)(FF_CELL_SEQUENCE(word) - FF_CELL_SEQUENCE(oldest)) < 0) {
                found = c;
                oldest = word;
            }
        }
        if (found == all)
            return 0;
        uint64_t mine = FF_CELL(FF_WRITING, owner, FF_CELL_GENERATION(oldest), FF_CELL_SEQUENCE(oldest));
        if (!ff_cell_change(&ring->cells[found], &oldest, mine))
            continue;
        FF_KILL_POINT(&ring->header->kill_hits, "claim");
        claim->slot = (uint32_t)(found / ring->cells_per_slot);
        claim->cell = (uint32_t)(found % ring->cells_per_slot);
        claim->word = mine;
        uint32_t rows = ff_ring_descriptor(ring, claim->slot)->rows;
        if (rows > ring->rows)
            rows = ring->rows;
        claim->rows = rows;
        claim->first_row = claim->cell * ring->rows_per_cell;
        claim->end_row = claim->first_row + ring->rows_per_cell;
        if (claim->end_row > rows)
            claim->end_row = rows;
        return 1;
    }
}

int ff_ring_publish(ff_ring *ring, const ff_claim *claim)
{
    ff_cell *cells = slot_cells(ring, claim->slot);
    uint64_t mine = claim->word;
    uint32_t sequence = FF_CELL_SEQUENCE(mine);
    uint64_t ready = FF_CELL(FF_READY, FF_CELL_OWNER(mine), FF_CELL_GENERATION(mine), sequence);
    if (!ff_cell_change(&cells[claim->cell], &mine, ready))
        return -1;
    FF_KILL_POINT(&ring->header->kill_hits, "publish");
    for (uint32_t c = 0; c < cells_for(ring, claim->rows) && c < ring->cells_per_slot; c++) {
        uint64_t word = ff_cell_look(&cells[c]);
        unsigned state = FF_CELL_STATE(word);
        /* Only for these will somebody else look again: a word that cannot be there is for the consumer to see. */
        if ((state == FF_OPEN || state == FF_WRITING) && FF_CELL_SEQUENCE(word) == sequence &&
            FF_CELL_OWNER(word) <= ring->workers)
            return 0;
    }
    return 1;
}
