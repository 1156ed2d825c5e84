//! Sets that grow together (union-find).

/// The numbers from 0, at first each in a set of its own.
pub(super) struct Sets {
    parents: Vec<u32>,
    sizes: Vec<u32>,
}

impl Sets {
    pub(super) fn new(count: usize) -> Self {
        Sets { parents: (0..count as u32).collect(), sizes: vec![1; count] }
    }

    /// The number that stands for the set of `number`: its smallest one.
    pub(super) fn find(&mut self, mut number: u32) -> u32 {
        while self.parents[number as usize] != number {
            let parent = self.parents[number as usize];
            self.parents[number as usize] = self.parents[parent as usize];
            number = self.parents[number as usize];
        }
        number
    }

    /// Joins the sets of two numbers unless that would make one of more than `most`.
    pub(super) fn join(&mut self, a: u32, b: u32, most: usize) {
        let (a, b) = (self.find(a), self.find(b));
        let size = self.sizes[a as usize] + self.sizes[b as usize];
        if a != b && size as usize <= most {
            self.parents[a.max(b) as usize] = a.min(b);
            self.sizes[a.min(b) as usize] = size;
        }
    }

    /// The sets in the order of their smallest numbers, each ascending.
    pub(super) fn into_groups(mut self) -> Vec<Vec<u32>> {
        let mut groups: Vec<Vec<u32>> = Vec::new();
        let mut group_of = vec![0; self.parents.len()];
        for number in 0..self.parents.len() as u32 {
            let root = self.find(number);
            if root == number {
                group_of[number as usize] = groups.len();
                groups.push(Vec::new());
            }
            groups[group_of[root as usize]].push(number);
        }
        groups
    }
}
